"""Instances for the scenarios, and runs on them: over a real sshd, with a real git server, uv and pip."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from app.domain.address import parse_address
from app.protocol import progress_json
from app.protocol.event_body import Body
from app.protocol.events import Event, RunStarted, decode
from app.protocol.reducer import reduce
from app.protocol.snapshot import Snapshot
from app.remote.connector import SshConnector
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.settings import Timeouts
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import PackSource, make_pack
from bench.faults.case import Scenario
from test.support.memory_pins import MemoryPins
from test.support.package_index import PackageIndex
from test.support.waiting import wait_until

RUN_SECONDS = 120.0
LIMITS = {
    "retry_waits": [0, 0.1, 0.1],
    "low_speed": 2,
    "git_idle": 20,
    "script_idle": 4,
    "script_total": 10,
    "import_idle": 10,
}
"""Seconds: short enough to wait for, long enough for what is only slow on a loaded machine."""
_FREEZE = "import json; from importlib import metadata as m; print(json.dumps(sorted({(d.metadata['Name'], d.version) "
_FREEZE += "for d in m.distributions()})))"


class Stage:
    """One instance, the git server that it clones from, and a server of files and packages."""

    def __init__(self, standin: StandIn, git: GitServer, index: PackageIndex, caches: Path) -> None:
        self.standin = standin
        self.git = git
        self.caches = caches
        self.server = index.url.removesuffix("simple/")
        self.family = standin.family_fingerprint()

    def filled(self, text: str) -> str:
        """The placeholders of a case's text."""
        return text.replace("{folder}", str(self.caches)).replace("{server}", self.server)

    def run(self, entries: list[dict[str, Any]], **request: Any) -> Snapshot:
        """One run of the runner over SSH, to its end; its journal, folded."""
        return self.start(entries, **request).ended()

    def start(self, entries: list[dict[str, Any]], **request: Any) -> Run:
        """Starts a run."""
        run = Run(self.standin)
        fields: dict[str, Any] = {"task_id": run.task_id, "ui_home": str(self.standin.ui_home), "venv_path": None}
        fields |= {"manifest": {"nodes": entries}, "options": {}, "schemes": ["http", "https"], "version": "faults"}
        with run.client() as client:
            client.start(run.task_id, {**fields, "limits": LIMITS, **request})
        return run

    def freeze(self) -> list[list[str]]:
        """Names and versions of all that the interpreter sees."""
        argv = [str(self.standin.python), "-c", _FREEZE]
        found: list[list[str]] = json.loads(_output(argv))
        return found

    def commits(self) -> dict[str, str]:
        """By name of all that is in custom_nodes: the commit, and what is changed; empty for what is no repository."""
        found = {}
        for folder in sorted(self.standin.custom_nodes.iterdir()):
            argv = ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch", "--untracked-files=all"]
            if folder.name != "__pycache__":
                found[folder.name] = _output(argv) if (folder / ".git").exists() else ""
        return found


class Run:
    """A run on an instance."""

    def __init__(self, standin: StandIn) -> None:
        self.task_id = str(uuid.uuid4())
        self._standin = standin
        self._journal = standin.home / ".local/state/nodeferry" / self.task_id / "journal.ndjson"

    @contextmanager
    def client(self) -> Iterator[RunnerClient]:
        """The runner's commands, over a connection of its own."""
        standin = self._standin
        connector = SshConnector(MemoryPins(), Timeouts(), key_files=(str(standin.client_key),))
        host = connector.connect(parse_address(standin.address), host_key_sha256=standin.host_key_sha256)
        try:
            client = RunnerClient(host, pack_runner(), Timeouts())
            client.ensure_uploaded()
            yield client
        finally:
            host.close()

    def events(self) -> list[Event]:
        """What the journal has. Read where it is: asking over SSH would start an interpreter each time."""
        return [decode(line) for line in self._journal.read_bytes().split(b"\n")[:-1]]

    def until(self, kind: type[Body], **fields: Any) -> None:
        """Waits for an event of this kind with these fields."""

        def told() -> bool:
            bodies = [event.body for event in self.events() if isinstance(event.body, kind)]
            return any(all(getattr(body, name) == value for name, value in fields.items()) for body in bodies)

        wait_until(told, RUN_SECONDS, f"{kind.kind} {fields}")

    def ended(self) -> Snapshot:
        """Waits for the end; the journal, folded."""
        wait_until(lambda: b'"event":"run_ended"' in self._tail(), RUN_SECONDS, "the end of the run")
        snapshot = progress_json.initial(self.task_id, 0.0, auto_installer=False)
        for event in self.events():
            snapshot = reduce(snapshot, event, event.wall)
        return snapshot

    def _tail(self) -> bytes:
        with self._journal.open("rb") as file:
            file.seek(max(0, self._journal.stat().st_size - 4096))
            return file.read()

    def kill(self) -> None:
        """-9 to the runner, and what the service does then: it sweeps."""
        began = self.events()[0].body
        assert isinstance(began, RunStarted)
        os.kill(began.pid, signal.SIGKILL)
        with self.client() as client:
            wait_until(lambda: client.status(self.task_id).status == "died", 20, "the runner is gone")
            client.sweep(self.task_id)


@contextmanager
def staged(scenario: Scenario, folder: Path, uv: Path, caches: Path) -> Iterator[Stage]:
    """A fresh instance for a scenario."""
    with ExitStack() as stack:
        git = stack.enter_context(GitServer(folder / "git"))
        index = stack.enter_context(PackageIndex(folder / "index"))
        index.wheel("nodeferry-wants-torch", "1.0", ["torch==1.13.1"])
        numpy_2 = index.wheel("nodeferry-wants-numpy-2", "1.0", ["numpy>=2"])
        (index.folder / "model.bin").write_bytes(b"weights")
        caching = {"UV_CACHE_DIR": str(caches / "uv"), "PIP_CACHE_DIR": str(caches / "pip")}
        environ = {name: value.replace("{folder}", str(caches)) for name, value in scenario.environ.items()}
        options = {"environ": {**os.environ, **caching, **environ}, "venv_cache": caches / "venvs", "with_pip": False}
        standin = stack.enter_context(StandIn(folder / "standin", **{**options, **scenario.standin}))
        if scenario.with_uv:
            _put_uv(standin, uv)
        if scenario.have:
            argv = [str(uv), "pip", "install", "-q", "--python", str(standin.python)]
            argv += [numpy_2 if name == "nodeferry-wants-numpy-2" else name for name in scenario.have]
            subprocess.run(argv, env={**os.environ, **caching}, check=True, capture_output=True, timeout=300)
        stage = Stage(standin, git, index, caches)
        stack.enter_context(_mounted(standin.ui_home / scenario.mounted, scenario.mount))
        yield stage


def _output(argv: list[str]) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def good_packs(stage: Stage) -> list[dict[str, Any]]:
    """They stand last, and must end well whatever stands before them."""
    needy = PackSource(requirements="humanize\ntorch\n", imports=("humanize", "torch"))
    sources: Mapping[str, PackSource] = {"good-plain": PackSource(), "good-needy": needy}
    return [{"name": n, "repo_url": make_pack(stage.git, "good", n, source).url} for n, source in sources.items()]


def _put_uv(standin: StandIn, uv: Path) -> None:
    place = standin.home / ".local" / "bin" / "uv"
    place.parent.mkdir(parents=True)
    place.symlink_to(uv)


@contextmanager
def _mounted(place: Path, what: str | None) -> Iterator[None]:
    """Something else where the folder is, with what is in it."""
    if what is None:
        yield
        return
    folder = str(place)
    if what == "read-only":
        commands = [["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]]
    else:
        aside = folder + ".aside"
        commands = [
            ["cp", "-a", folder, aside],
            ["mount", "-t", "tmpfs", "-o", f"size={what}", "nodeferry-faults", folder],
            ["cp", "-a", aside + "/.", folder],
            ["rm", "-r", aside],
        ]
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=False, capture_output=True, timeout=20)
