"""A machine for the runner without sshd: a home folder, a ComfyUI-shaped tree, and the zipapp started as a program."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from app.protocol.event_body import Body
from app.protocol.events import Event, RunStarted, decode
from app.protocol.progress_json import initial
from app.protocol.reducer import reduce
from app.protocol.snapshot import Snapshot
from app.runner.process import processes
from app.runner.process.locks import is_locked
from app.runner.process.paths import staging_name
from app.standin.environment import Environment, make_environment
from app.standin.git_server import GitServer
from app.standin.packs import Pack
from app.standin.tree import write_tree
from test.support.waiting import wait_until

NONCE = "5eed"
MARK = b"\x1eNF" + NONCE.encode() + b" "
QUICK: Mapping[str, Any] = {"retry_waits": [0, 0.05, 0.05]}
"""Limits for tests: as many tries, hardly any wait between them."""
_SECONDS = 60.0
_HANDED_ON = re.compile(r"^(PATH|LANG|.*CERT.*|.*CA_?BUNDLE|.*CAINFO|PIP_.*|UV_.*|.*_proxy|.*_PROXY)$")

B = TypeVar("B", bound=Body)


@dataclass(frozen=True, slots=True)
class Frame:
    """One framed line: its type letter and what stands behind it."""

    kind: str
    payload: bytes

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.payload)
        return value


def frames_of(output: bytes) -> Iterator[Frame]:
    """The frames of an output, by the rule of docs/journal.md."""
    for line in output.split(b"\n"):
        _, found, rest = line.partition(MARK)
        if found and rest[1:2] == b" ":
            yield Frame(rest[:1].decode(), rest[2:].rstrip(b"\r"))


class Rig:
    """The machine. `ui_home` may have any name; `environ` is added to the runner's environment."""

    def __init__(self, root: Path, pyz: Path, python: str, *, ui_home_name: str = "ComfyUI", venv: bool = True) -> None:
        self.pyz, self.python = pyz, python
        self.home = root / "home"
        self.home.mkdir(parents=True)
        self.ui_home = root / ui_home_name
        write_tree(self.ui_home)
        self.environment: Environment | None = None
        if venv:
            self.environment = make_environment(self.ui_home / "venv", with_pip=False)
        handed_on = {name: value for name, value in os.environ.items() if _HANDED_ON.match(name)}
        own = {"HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1", "NODEFERRY_NODE_REGISTRY": "off"}
        self.environ: dict[str, str] = {**handed_on, **own}
        self.runs: list[Run] = []

    @property
    def custom_nodes(self) -> Path:
        return self.ui_home / "custom_nodes"

    @property
    def state(self) -> Path:
        return self.home / ".local" / "state" / "nodeferry"

    def argv(self, command: str, task_id: str, *options: str) -> list[str]:
        return [self.python, "-I", "-S", str(self.pyz), command, task_id, "--nonce", NONCE, *options]

    def call(self, command: str, task_id: str, *options: str, stdin: bytes = b"") -> dict[str, Any]:
        """The one answer of a command."""
        done = subprocess.run(
            self.argv(command, task_id, *options),
            input=stdin,
            capture_output=True,
            env=self.environ,
            timeout=_SECONDS,
            check=False,
        )
        answers = [frame.json for frame in frames_of(done.stdout) if frame.kind == "r"]
        assert len(answers) == 1, (done.stdout, done.stderr)
        return answers[0]

    def start(self, manifest: Any, *, limits: Mapping[str, Any] = QUICK, **request: Any) -> Run:
        """Starts a run for packs (a list of objects), or for a whole manifest. `task_id`: which, if not any."""
        run = Run(self, request.pop("task_id", None) or str(uuid.uuid4()))
        self.runs.append(run)
        run.request = {
            "task_id": run.task_id,
            "ui_home": str(self.ui_home),
            "venv_path": None,
            "manifest": {"nodes": manifest} if isinstance(manifest, list) else manifest,
            "options": {},
            "schemes": ["http", "https"],
            "version": "test",
            "limits": dict(limits),
            **request,
        }
        run.request["options"] = {"verify": False, **run.request["options"]}
        run.start()
        return run

    def install(self, manifest: Any, **request: Any) -> Run:
        """Starts a run and waits for its end."""
        run = self.start(manifest, **request)
        assert run.answer.get("status") == "running", run.answer
        run.wait()
        return run

    def end(self) -> None:
        """Nothing is left of any run."""
        for run in self.runs:
            run.end()


class Run:
    """One run on the machine."""

    def __init__(self, rig: Rig, task_id: str) -> None:
        self.rig, self.task_id = rig, task_id
        self.request: dict[str, Any] = {}
        self.answer: dict[str, Any] = {}
        self.folder = rig.state / task_id
        self.journal = self.folder / "journal.ndjson"
        self.progress_file = Path(f"/tmp/custom_nodes_progress_{task_id}.json")
        self.staging = rig.custom_nodes / staging_name(task_id)

    def start(self) -> dict[str, Any]:
        self.answer = self.rig.call("start", self.task_id, stdin=json.dumps(self.request).encode())
        return self.answer

    def wait(self, seconds: float = _SECONDS) -> None:
        """Until the run has ended."""
        try:
            wait_until(self.is_over, seconds)
        except AssertionError as late:
            raise AssertionError(f"the run did not end; {self.said()}") from late

    def is_over(self) -> bool:
        """Whether its runner is gone: without a process for each look, as `status` would take."""
        return not is_locked(self.folder / "lock")

    def status(self) -> str:
        return str(self.rig.call("status", self.task_id)["status"])

    def cancel(self) -> str:
        return str(self.rig.call("cancel", self.task_id)["status"])

    def sweep(self) -> dict[str, Any]:
        return self.rig.call("sweep", self.task_id)

    def follow(self, offset: int = 0) -> list[Frame]:
        """All frames until the end, with the input held open."""
        argv = self.rig.argv("follow", self.task_id, "--offset", str(offset))
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.rig.environ) as child:
            assert child.stdout is not None
            output = child.stdout.read()
            assert child.wait(_SECONDS) == 0
        return list(frames_of(output))

    def events(self) -> list[Event]:
        """The whole lines of the journal, decoded."""
        raw = self.journal.read_bytes() if self.journal.exists() else b""
        return [decode(line) for line in raw.split(b"\n")[:-1]]

    def told(self, kind: type[B], **fields: Any) -> list[B]:
        """What the events of a kind tell, of those with these fields."""
        bodies = [event.body for event in self.events() if isinstance(event.body, kind)]
        return [body for body in bodies if all(getattr(body, name) == value for name, value in fields.items())]

    def snapshot(self) -> Snapshot:
        """The journal, folded as the service folds it."""
        auto = "repo" in (self.request.get("manifest") or {})
        snapshot = initial(self.task_id, 0.0, auto_installer=auto)
        for event in self.events():
            snapshot = reduce(snapshot, event, event.wall)
        return snapshot

    def state(self, name: str) -> str:
        """A pack's state, and its reason if it has one: `failed bad_ref`."""
        node = self.snapshot().nodes[name]
        return f"{node.state} {node.error.code}" if node.error else str(node.state)

    def pid(self) -> int:
        return int(self.told(RunStarted)[0].pid)

    def kill_runner(self) -> None:
        """-9 to the runner alone, and until it is gone."""
        os.kill(self.pid(), signal.SIGKILL)
        wait_until(lambda: processes.start_time(self.pid()) is None, what="the runner is gone")

    def processes(self) -> set[int]:
        """What runs for this run, the runner itself not counted."""
        return processes.marked(self.task_id)

    def said(self) -> str:
        """What the run's log and its last events say, for messages."""
        log = self.folder / "run.log"
        return (log.read_text()[-2000:] if log.exists() else "") + str([str(e.body) for e in self.events()[-3:]])

    def end(self) -> None:
        """Ends the run if it lives, sweeps it, and removes its file in /tmp."""
        if self.folder.is_dir() and self.status() == "running":
            self.cancel()
        processes.end_all(self.processes)
        self.progress_file.unlink(missing_ok=True)
        shutil.rmtree(self.staging, ignore_errors=True)


def node(pack: Pack, **fields: Any) -> dict[str, Any]:
    """A pack as an entry of a manifest's `nodes`."""
    return {"name": pack.name, "repo_url": pack.url, **fields}


def names_in(folder: Path) -> Sequence[str]:
    """What is in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def make_linked_pack(server: GitServer, owner: str, name: str, links: Mapping[str, str]) -> Pack:
    """A pack with symbolic links, {path: where it leads}."""
    work = server.folder / f"{name}.work"
    work.mkdir()
    (work / "__init__.py").touch()
    for path, target in links.items():
        (work / path).symlink_to(target)
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "links")
    git(work, "clone", "-q", "--bare", ".", str(server.path_of(owner, name)))
    return Pack(owner, name, f"{server.url}/{owner}/{name}", (git(work, "rev-parse", "HEAD"),))


def git(folder: Path, *arguments: str) -> str:
    """Runs git there, as nobody in particular; what it prints."""
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.invalid"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
