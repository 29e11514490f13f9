"""Real processes of one service: those that answer, and those that only work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from test.support.service import ServiceProcess


class WebProcess(ServiceProcess):
    """`run.py serve` with the role web."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, database_url=url, role="web")


class WorkerProcess(ServiceProcess):
    """`run.py worker`."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        words: dict[str, Any] = {"database_url": url, "role": "worker", **settings}
        super().__init__(folder, **words)
