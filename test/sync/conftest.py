"""A whole service without HTTP, and node packs for it to install on a stand-in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from app.domain.address import parse_address
from app.domain.request import InstallRequest
from app.factory import Service, build_service
from app.protocol.options import Options
from app.settings import Settings
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, PackSource, make_pack
from app.storage import ProgressFiles
from app.storage.group_update import GroupUpdate
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.group_saver import GroupSaver
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.service import Installs
from test.support.chosen_engine import database_of
from test.support.database import put_database
from test.support.waiting import wait_until

END_SECONDS = 90.0


@dataclass
class Bench:
    """A service and what tests ask of it."""

    service: Service

    @property
    def installs(self) -> Installs:
        return self.service.installs

    def start(self, ssh_connection: str, *packs: Pack, ui_home: Path | str | None = None, **options: Any) -> str:
        """Starts an install of the packs; its task_id. One try to connect unless `wait_seconds` says otherwise."""
        asked = InstallRequest(
            ssh_connection=ssh_connection,
            address=parse_address(ssh_connection),
            ui_home=None if ui_home is None else str(ui_home),
            manifest={"nodes": [{"name": pack.name, "repo_url": pack.url} for pack in packs]},
            options=Options(**{"wait_seconds": 0, **options}),
        )
        return self.installs.start(asked).task_id

    def until(self, task_id: str, holds: Callable[[dict[str, Any]], object], what: str, timeout: float = 30.0) -> None:
        """Waits until the progress is so."""
        wait_until(lambda: holds(self.installs.progress(task_id)), timeout, f"{what} ({task_id})")

    def ended(self, task_id: str, timeout: float = END_SECONDS) -> dict[str, Any]:
        """The progress of the ended install."""
        assert self.installs.wait(task_id, timeout), self.installs.progress(task_id)
        return self.installs.progress(task_id)


BenchFactory = Callable[..., Bench]
SaverOf = Callable[..., GroupSaver]


@pytest.fixture
def bench_factory(tmp_path: Path) -> Iterator[BenchFactory]:
    """Builds services; all are closed at the end. The settings may be given, `data_dir` too."""
    with ExitStack() as opened:

        def build(**settings: Any) -> Bench:
            settings = {"data_dir": tmp_path / "data", "allowed_git_schemes": ("http", "https"), **settings}
            settings = database_of(settings["data_dir"]) | settings
            put_database(settings["data_dir"])
            service = build_service(Settings(**settings), background=BackgroundTaskManager())
            opened.callback(service.close)
            return Bench(service)

        yield build
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("task-")], 30, "threads are gone")


@pytest.fixture
def progress_writer(tmp_path: Path) -> Iterator[ProgressWriter]:
    """Writes the progress files of recorders that no service has made, into `progress`."""
    writer = ProgressWriter(ProgressFiles(tmp_path / "progress"), BackgroundTaskManager())
    yield writer
    writer.close(5)


@pytest.fixture
def saver_of() -> Iterator[SaverOf]:
    """Makes what saves the progress of recorders that no service has made, in a database."""
    made: list[GroupSaver] = []

    def make(engine: Engine, **options: float) -> GroupSaver:
        made.append(GroupSaver(GroupUpdate(engine), BackgroundTaskManager(), **options))
        return made[-1]

    yield make
    for saver in made:
        saver.close(5)


@pytest.fixture
def bench(bench_factory: BenchFactory) -> Bench:
    """A service with a data folder of its own."""
    return bench_factory()


@dataclass
class Gate:
    """A pack whose install.py waits until the gate is opened, so that a test decides how long the install takes."""

    pack: Pack
    path: Path

    def open(self) -> None:
        """Lets it go on."""
        self.path.touch()


@pytest.fixture
def gate(git_server: GitServer, tmp_path: Path) -> Gate:
    """A closed gate."""
    path = tmp_path / "gate is open"
    wait = f"import os, select\nwhile not os.path.exists({str(path)!r}):\n    select.select([], [], [], 0.05)\n"
    return Gate(make_pack(git_server, "standin", "gated", PackSource(install_py=wait)), path)


@pytest.fixture
def packs(git_server: GitServer) -> list[Pack]:
    """Three packs without requirements."""
    return [make_pack(git_server, "standin", f"pack-{n}", PackSource(payload_bytes=20_000)) for n in range(3)]


@pytest.fixture
def instances(standin_factory: Callable[..., StandIn]) -> Callable[..., StandIn]:
    """Makes started stand-ins on which installs of packs without requirements are quick."""

    def start(**options: Any) -> StandIn:
        standin = standin_factory(**options)
        uv = standin.home / ".local" / "bin" / "uv"
        uv.parent.mkdir(parents=True)
        uv.write_text("#!/bin/sh\nexit 1\n")  # found, hence not fetched; without requirements it is never run
        uv.chmod(0o755)
        return standin

    return start


@pytest.fixture
def instance(instances: Callable[..., StandIn]) -> StandIn:
    """A started stand-in."""
    return instances()
