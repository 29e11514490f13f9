"""The service as users start it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.support.service import ServiceProcess


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A running service with an empty data folder."""
    with ServiceProcess(tmp_path) as running:
        yield running
