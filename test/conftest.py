"""Fixtures that several folders share: stand-ins of instances, and the git server that they clone from."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.processes import Process, all_processes, command_line, processes_below
from test.support.waiting import wait_until

StandInFactory = Callable[..., StandIn]


@pytest.fixture(scope="session")
def venv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the environment with pip, which takes seconds to make, is kept for all stand-ins of the session."""
    return tmp_path_factory.mktemp("venvs")


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    """A git server without repositories."""
    with GitServer(tmp_path / "git") as server:
        yield server


@pytest.fixture
def standin_factory(tmp_path: Path, venv_cache: Path) -> Iterator[StandInFactory]:
    """Makes started stand-ins, from any thread; the arguments are StandIn's. All are stopped at the end."""
    numbers = itertools.count()
    with ExitStack() as started:

        def start(**options: Any) -> StandIn:
            name = options.setdefault("name", f"standin{next(numbers)}")
            options = {"environ": os.environ, "venv_cache": venv_cache, "with_pip": False, **options}
            return started.enter_context(StandIn(tmp_path / name, **options))

        yield start


@pytest.fixture
def standin(standin_factory: StandInFactory, git_server: GitServer) -> StandIn:
    """A started stand-in with pip, whose clones of https://github.com/ come from `git_server`."""
    return standin_factory(git_base_url=git_server.url, with_pip=True)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """When the tests have ended, no process of theirs is left."""
    base = tmp_path_factory.getbasetemp()
    yield
    left: set[Process] = set()

    def none_left() -> bool:
        left.clear()
        left.update(process for process in all_processes() if f"{base}/" in command_line(process))
        left.update(processes_below(base))
        return not left

    try:
        wait_until(none_left, timeout=5, what="nothing is left running")
    except AssertionError as late:
        raise AssertionError("left running: " + "; ".join(map(command_line, left))) from late
