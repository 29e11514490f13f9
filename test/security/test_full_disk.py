"""The service's own disk is full: nothing that was accepted is lost, what runs goes on, and it is told.

A small tmpfs is filled. Where nothing may be mounted these tests are skipped, except those that play the same with the
limit of a file's size (RLIMIT_FSIZE)."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.remote.follow import LogPiece
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, PackSource, make_pack
from app.standin.relay import Relay
from app.storage.errors import StorageError
from app.storage.log_files import LogFiles
from app.storage.progress_files import ProgressFiles
from app.sync.installs import log_receiver
from test.api.client import START, Api, closed_address, content, service_in
from test.conftest import StandInFactory
from test.support.waiting import wait_until

TASK = "550e8400-e29b-41d4-a716-446655440000"


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rest = folder / "rest"

    def fill(self) -> None:
        """Not a byte is left."""
        with self._rest.open("ab", buffering=0) as file:
            for size in (64 * 1024, 4096, 1):
                while _written(file.fileno(), size):
                    pass

    def free(self) -> None:
        """There is room again."""
        self._rest.unlink()


def _written(descriptor: int, size: int) -> bool:
    try:
        return os.write(descriptor, b"\0" * size) > 0
    except OSError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk that can be filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "nodeferry-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield SmallDisk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without SSH files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def instance(standin_factory: StandInFactory) -> StandIn:
    """A stand-in on which installs of packs without requirements are quick."""
    standin = standin_factory()
    uv = standin.home / ".local" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text("#!/bin/sh\nexit 1\n")  # found, hence not fetched; without requirements it is never run
    uv.chmod(0o755)
    return standin


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """While this file is not there, the script of the pack `gated` waits."""
    return tmp_path / "gate is open"


@pytest.fixture
def gated(gate: Path, git_server: GitServer) -> Pack:
    """A pack whose install ends when a test says so."""
    begun = gate.with_suffix(".begun")
    told = f"open({str(begun)!r}, 'w').close()"
    wait = f"while not os.path.exists({str(gate)!r}):\n    select.select([], [], [], 0.05)\n"
    script = f"import os, select\n{told}\n{wait}"
    return make_pack(git_server, "standin", "gated", PackSource(install_py=script))


def _start(api: Api, address: str, *packs: Pack, **fields: Any) -> str:
    nodes = [{"name": pack.name, "repo_url": pack.url} for pack in packs]
    return api.start(address, manifest={"nodes": nodes} if packs else None, **fields)


@pytest.mark.usefixtures("home")
def test_a_start_on_a_full_disk_is_refused_and_keeps_nothing(disk: SmallDisk) -> None:
    """No task_id is answered that the next start of the service would not know."""
    with service_in(disk.folder / "service") as api:
        disk.fill()
        bodies = [{"ssh_connection": closed_address(), "idempotency_key": f"key {number}"} for number in range(5)]
        refused = [api.post(START, body) for body in bodies]
        assert {answer.status_code for answer in refused} == {503}
        assert {content(answer)["error"] for answer in refused} <= {"database_full", "database_unavailable"}
        assert all(content(answer)["hint"] for answer in refused)
        workflow = api.post("/workflow/start", {"ssh_connection": closed_address()})
        fleet = api.post("/fleet/install-custom-nodes", {"ssh_connections": [closed_address()]})
        assert (workflow.status_code, fleet.status_code) == (503, 503)
        assert content(api.get("/tasks"))["tasks"] == []
        disk.free()
        accepted = content(api.post(START, bodies[0]))
        assert accepted["success"], "the key of a refused start is free"
    with service_in(disk.folder / "service") as api:
        assert [task["task_id"] for task in content(api.get("/tasks"))["tasks"]] == [accepted["task_id"]]


@pytest.mark.usefixtures("home")
def test_readiness_tells_of_a_full_disk_until_there_is_room(disk: SmallDisk) -> None:
    with service_in(disk.folder / "service") as api:
        wait_until(lambda: api.get("/health/ready").status_code == 200, 10, "ready")
        disk.fill()
        api.post(START, {"ssh_connection": closed_address()})
        answer = api.get("/health/ready")
        assert answer.status_code == 503
        assert "its database does not work (database_" in content(answer)["message"]
        assert api.get("/health").status_code == 200
        disk.free()
        assert api.get("/health/ready").status_code == 200


@pytest.mark.sshd
@pytest.mark.usefixtures("home")
def test_an_install_goes_on_while_the_disk_is_full_and_is_saved_when_there_is_room(
    disk: SmallDisk,
    gate: Path,
    gated: Pack,
    instance: StandIn,
) -> None:
    """Polls show its end at once; the record, the progress file and the logs get it later."""
    folder = disk.folder / "service"
    with service_in(folder, allowed_git_schemes=("http", "https")) as api:
        task_id = _start(api, instance.ssh_command, gated, ui_home=str(instance.ui_home))
        wait_until(gate.with_suffix(".begun").exists, 30, "the pack's script runs")
        disk.fill()
        gate.touch()
        wait_until(lambda: not api.progress(task_id)["in_progress"], 60, "its end is shown")
        assert api.progress(task_id)["outcome"] == "all", api.progress(task_id)
        disk.free()

        def saved() -> bool:
            [row] = content(api.get("/tasks"))["tasks"]
            return bool(row["state"] == "completed")

        wait_until(saved, 30, "its end is saved")
        shown = content(api.get(f"/tasks/{task_id}/log"))
        assert gated.name in shown["text"]
    with service_in(folder) as api:
        assert api.progress(task_id)["outcome"] == "all"


@pytest.mark.sshd
@pytest.mark.usefixtures("home")
def test_a_waiting_install_whose_host_key_cannot_be_kept_waits_for_room(
    disk: SmallDisk,
    instance: StandIn,
    git_server: GitServer,
) -> None:
    """Its first connection would pin the machine's key, which a full disk refuses: that is no reason to end it."""
    pack = make_pack(git_server, "standin", "pack", PackSource())
    with (
        Relay(instance.port) as relay,
        service_in(disk.folder / "service", allowed_git_schemes=("http", "https")) as api,
    ):
        relay.freeze()
        address = instance.ssh_command.replace(f"-p {instance.port}", f"-p {relay.port}")
        task_id = _start(api, address, pack, ui_home=str(instance.ui_home), options={"wait_seconds": 300})
        disk.fill()
        relay.thaw()
        wait_until(lambda: "is full" in api.progress(task_id)["message"], 30, "it waits for room")
        disk.free()
        wait_until(lambda: not api.progress(task_id)["in_progress"], 60, "its end")
        assert api.progress(task_id)["outcome"] == "all"


@contextmanager
def _files_end_at(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_piece_of_a_log_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """A disk that takes only the beginning of a piece must not shift what comes after it."""
    files = LogFiles(tmp_path)
    with files.writing(TASK) as writer:
        writer.append("run.log", 0, b"one\n")
        with _files_end_at(6), pytest.raises(StorageError):
            writer.append("run.log", 4, b"two and more\n")
        assert files.read(TASK, "run.log", 0, 100) == (b"one\n", 4)
        assert writer.append("run.log", 4, b"two and more\n") == 17
    assert files.read(TASK, "run.log", 0, 100)[0] == b"one\ntwo and more\n"


class _Follower:
    """What it has been told that we have of each log."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def resume_logs(self, sizes: Mapping[str, int]) -> None:
        self.known |= sizes


def test_logs_go_on_over_the_same_connection_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower waits until what it has sent is kept."""
    monkeypatch.setattr(log_receiver, "REFUSED_SECONDS", 0.0)
    monkeypatch.setattr(log_receiver, "TELL_SECONDS", 0.0)
    files, follower = LogFiles(tmp_path), _Follower()
    with files.writing(TASK) as writer:
        logs = log_receiver.LogReceiver(TASK, follower, lambda: writer, threading.Event())  # type: ignore[arg-type]
        logs.receive(LogPiece("run.log", 0, False, b"one\n"))
        with _files_end_at(6):
            logs.receive(LogPiece("run.log", 4, False, b"two and more\n"))
            logs.receive(LogPiece("run.log", 17, False, b"three\n"))
            logs.look()
            assert follower.known == {"run.log": 4}
        logs.look()  # there is room again
        logs.look()
        assert follower.known == {"run.log": 23}
    assert files.read(TASK, "run.log", 0, 100)[0] == b"one\ntwo and more\nthree\n"


def test_logs_that_cannot_be_opened_are_opened_later_over_the_same_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An install that begins while the disk, or the database, takes nothing has its whole log in the end."""
    monkeypatch.setattr(log_receiver, "REFUSED_SECONDS", 0.0)
    files, follower = LogFiles(tmp_path / "logs"), _Follower()
    (tmp_path / "logs").write_text("in the way")
    with log_receiver.receiving_logs(files, TASK, follower, threading.Event()) as logs:  # type: ignore[arg-type]
        logs.look()
        (tmp_path / "logs").unlink()
        logs.look()
        logs.receive(LogPiece("run.log", 0, False, b"one\n"))
    assert files.read(TASK, "run.log", 0, 100)[0] == b"one\n"


def test_what_is_held_for_a_full_disk_is_bounded(tmp_path: Path) -> None:
    """An instance that sends on although it has not heard that anything was kept: its logs end, not its install."""
    follower = _Follower()
    with LogFiles(tmp_path).writing(TASK) as writer:
        logs = log_receiver.LogReceiver(TASK, follower, lambda: writer, threading.Event())  # type: ignore[arg-type]
        with _files_end_at(0):
            for _ in range(log_receiver.MAX_REFUSED_PIECES + 2):
                logs.receive(LogPiece("run.log", 0, False, b"x"))
        logs.look()
        assert follower.known == {}


def test_a_progress_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    files = ProgressFiles(tmp_path)
    files.write(TASK, {"revision": 1})
    with _files_end_at(10), pytest.raises(StorageError):
        files.write(TASK, {"revision": 2, "message": "x" * 1000})
    assert [path.read_text() for path in tmp_path.iterdir()] == ['{"revision": 1}']
