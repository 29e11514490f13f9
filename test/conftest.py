"""Fixtures that several folders share: stand-ins of instances, and the git server that they clone from."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import request_finished
from xdist import is_xdist_controller, is_xdist_worker
from xdist.remote import Producer

from app.remote.packer import pack_runner
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.processes import Process, all_processes, command_line, end_all, processes_below
from bench.engine.machine import get_uv
from test.support import contract
from test.support.alone import room, running_order, turn
from test.support.chosen_engine import on_postgresql
from test.support.chromium import browser
from test.support.postgresql import empty_postgresql_url, postgresql, postgresql_url, schema, shared_engine
from test.support.spread import Together
from test.support.waiting import wait_until

__all__ = ["browser", "empty_postgresql_url", "postgresql", "postgresql_url", "schema", "shared_engine"]

StandInFactory = Callable[..., StandIn]
MakeOnce = Callable[[str, Callable[[Path], object]], Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    """On which engine the services of tests run."""
    parser.addoption("--engine", choices=["sqlite", "postgresql"], default="sqlite", help="of services in tests")


@pytest.fixture(scope="session", autouse=True)
def chosen_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """A server for them, where it is PostgreSQL."""
    if request.config.getoption("--engine") == "sqlite":
        yield
        return
    with on_postgresql(request.getfixturevalue("postgresql")):
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The same order in every process of a run. On PostgreSQL nothing runs that is about SQLite."""
    items.sort(key=running_order)
    if config.getoption("--engine") == "postgresql":
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("sqlite")])
        items[:] = [item for item in items if not item.get_closest_marker("sqlite")]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together | None:
    """Of a run with `--dist load`."""
    return Together(config, log) if config.getvalue("dist") == "load" else None


@pytest.fixture(scope="session", autouse=True)
def every_answer_is_held_against_the_specification() -> Iterator[None]:
    """Those of services in this process."""
    with request_finished.connected_to(contract.hold):
        yield


@pytest.fixture(autouse=True)
def no_answer_breaks_the_contract() -> Iterator[None]:
    """What openapi.json does not say, no service answers."""
    contract.BROKEN.clear()
    yield
    assert not contract.BROKEN, "not in the specification:\n" + "\n".join(dict.fromkeys(contract.BROKEN))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test waits here for its turn, outside of its timeout."""
    if not is_xdist_worker(item.session):
        return (yield)
    with turn(Path(item.config.option.basetemp).parent, room(item), item.config.workerinput["workerid"]):  # type: ignore[attr-defined]
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Ends what is left of a test whose worker was stopped in the middle of it, as Ctrl-C does."""
    if is_xdist_controller(session):
        base = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        end_all(lambda: processes_below(base))


@pytest.fixture(scope="session")
def shared_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of this run: for what is made once, under a lock."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if is_xdist_worker(request.session) else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def make_once(shared_folder: Path) -> MakeOnce:
    """Calls a function with a folder's path unless another process of this run has done so; the folder."""

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = shared_folder / name, shared_folder / f"{name}.done"
        with (shared_folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def venv_cache(shared_folder: Path) -> Path:
    """Where the environment with pip, which takes seconds to make, is kept for all stand-ins of the run."""
    return shared_folder / "venvs"


@pytest.fixture(scope="session")
def uv_program(make_once: MakeOnce) -> Path:
    """A uv: the one on PATH, else one from the registry."""
    found = shutil.which("uv")
    return Path(found) if found else make_once("uv", get_uv) / "bin" / "uv"


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner as it is uploaded."""
    path = tmp_path_factory.mktemp("runner") / "runner.pyz"
    path.write_bytes(pack_runner().content)
    return path


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


@pytest.fixture
def mark() -> Iterator[Path]:
    """What vast.ai's images have while they set themselves up. It is the machine's, which needs root here."""
    folder = Path("/workspace")
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    path = folder / ".sync_nodeferry_test.lock"
    path.touch()
    yield path
    path.unlink(missing_ok=True)
    if made:
        folder.rmdir()


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
        wait_until(none_left, timeout=15, what="nothing is left running")
    except AssertionError as late:
        raise AssertionError("left running: " + "; ".join(map(command_line, left))) from late
