"""One service a data folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.errors import CliError
from app.cli.server.service_lock import FILE_NAME, RunningService, ServiceLock, running_service


def test_whoever_asks_is_told_where_the_service_listens(tmp_path: Path) -> None:
    """While it runs, and not afterwards."""
    with ServiceLock(tmp_path / "new" / "folder") as lock:
        assert running_service(tmp_path / "new" / "folder") == RunningService("", None)
        lock.write_address("http://127.0.0.1:5000")
        found = running_service(tmp_path / "new" / "folder")
        assert found is not None and found.url == "http://127.0.0.1:5000"
    assert running_service(tmp_path / "new" / "folder") is None


def test_a_second_service_is_refused_with_the_first_one_s_address(tmp_path: Path) -> None:
    """Two services on one data folder would both write its snapshots."""
    with ServiceLock(tmp_path) as lock:
        lock.write_address("http://127.0.0.1:5000")
        with pytest.raises(CliError, match=r"already uses the data folder .* at http://127\.0\.0\.1:5000"):
            ServiceLock(tmp_path).__enter__()


def test_what_a_killed_service_left_is_no_service(tmp_path: Path) -> None:
    """The lock counts, not the file."""
    (tmp_path / FILE_NAME).write_text('{"url": "http://127.0.0.1:5000", "pid": 1}')
    assert running_service(tmp_path) is None


def test_a_data_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """A sentence, no traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(CliError, match="cannot be used"):
        ServiceLock(tmp_path / "file" / "folder").__enter__()
