"""Services for the tests of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from test.api.client import Api, service_in


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A service with default settings, for a user who has no SSH files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with service_in(tmp_path / "service") as running:
        yield running


@pytest.fixture(scope="package")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service for the tests that leave nothing in it, shared: making one takes longer than they do."""
    with service_in(tmp_path_factory.mktemp("idle")) as running:
        yield running
