"""What one install is to do, as its thread is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.address import SshAddress


@dataclass(frozen=True, slots=True)
class InstallSpec:
    """What one install is to do. `wait_seconds`: for the instance to come up; `runner_request`: what `start` gets;
    `stall_seconds`, `question_seconds`: how long nothing may move, and a question may stand besides."""

    address: SshAddress
    host_key_sha256: str | None
    wait_seconds: float
    runner_request: Mapping[str, Any]
    stall_seconds: float = 0.0
    question_seconds: float = 0.0
