"""Fixtures of the tests over what a release left behind."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from test.upgrade.recorded import Restored, unpack

Restore = Callable[..., Restored]


@pytest.fixture(scope="session")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release's archive, unpacked."""
    return unpack(tmp_path_factory.mktemp("left-behind"))


@pytest.fixture
def one_at_a_time(shared_folder: Path) -> Iterator[None]:
    """A runner ends the processes that carry its task_id, and all of these tests play the same tasks."""
    with (shared_folder / "recorded-tasks.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _restoring(source: Path, folder: Path) -> Iterator[Restore]:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("HOME", str(folder))  # whose SSH files are nobody's
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        yield lambda *played: Restored(source, folder, stack, *played)


@pytest.fixture
def restore(left_behind: Path, tmp_path: Path) -> Iterator[Restore]:
    """Brings the release's instances and data back; the arguments are the instances that stand-ins play."""
    with _restoring(left_behind, tmp_path) as restoring:
        yield restoring


@pytest.fixture(scope="module")
def taken_up(left_behind: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    """The data folder under today's service, with no instance in reach, for a module's tests to share. The automatic
    retry that was still to come is a quarter of an hour away, as it was when the service was killed."""
    with _restoring(left_behind, tmp_path_factory.mktemp("taken-up")) as restoring:
        restored = restoring()
        restored.end_at("pending-retry", time.time())
        restored.serve()
        yield restored
