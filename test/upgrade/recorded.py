"""What a release left behind, brought back to life: its data folder under today's service, its runs on stand-ins.

How it was recorded, and what a test must put its own in place of, is in release-7f86b61/README.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import socket
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from app.factory import build_service
from app.settings import Settings
from app.standin.git_rules import MISSING
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.sync.background_tasks import BackgroundTaskManager
from test.api.client import Api, content
from test.support.waiting import wait_until

Json = dict[str, Any]
FOLDER = Path(__file__).parent / "release-7f86b61"
RECORDING: Json = json.loads((FOLDER / "recording.json").read_text("utf-8"))
TASKS: Mapping[str, str] = RECORDING["tasks"]
RUNNER = next(FOLDER.glob("nodeferry-*.pyz"))
STATE = ".local/state/nodeferry"
TERMINAL = frozenset({"completed", "failed", "cancelled"})
_ARCHIVE = FOLDER / "left-behind.tar.gz"


def names(folder: str) -> list[str]:
    """The names of the files in a folder of the archive, without their endings."""
    with tarfile.open(_ARCHIVE) as archive:
        paths = [Path(member.name) for member in archive if member.isfile()]
    return sorted(path.stem for path in paths if str(path.parent) == folder)


def unpack(target: Path) -> Path:
    """The archive's content, in `target`."""
    with tarfile.open(_ARCHIVE) as archive:
        archive.extractall(target, filter="data")
    return target


class Restored:
    """The release's instances, some of them played by stand-ins and the others closed, and its data folder.

    What is `expected` and what the database holds have this machine's addresses and paths in place of the recorded."""

    def __init__(self, source: Path, folder: Path, stack: ExitStack, *played: str) -> None:
        self.source = source
        self._stack = stack
        self.data_dir = folder / "data"
        self.standins: dict[str, StandIn] = {}
        self.api: Api
        self.close: Callable[[], None]
        """Ends the service, before the test does."""
        self.engine: Engine
        self._words = [(f"{RECORDING['user']}@127.0.0.1", f"{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1")]
        if played:
            git = stack.enter_context(GitServer(folder / "git"))
            _import_packs(source / "packs", git)
            self._words.append((f"127.0.0.1:{RECORDING['git_port']}/", f"127.0.0.1:{git.port}/"))
        for name, recorded in RECORDING["instances"].items():
            if name in played:
                self.standins[name] = standin = _standin(stack, folder / name, name)
                self._words += [(recorded["root"] + "/", f"{standin.root}/"), *_keys(recorded, standin)]
            port = self.standins[name].port if name in played else self._closed_port()
            self._words += _ports(recorded["port"], port)
        self._words += _ports(RECORDING["closed_port"], self._closed_port())
        self._restore_data()

    def put(self, text: str) -> str:
        """`text` of the recording with this machine's addresses and paths."""
        for recorded, ours in self._words:
            text = text.replace(recorded, ours)
        return text

    def expected(self, path: str) -> Json:
        """An answer that the release gave."""
        found: Json = json.loads(self.put((self.source / "expected" / f"{path}.json").read_text("utf-8")))
        return found

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Reads or changes the database, before a service has it."""
        with contextlib.closing(sqlite3.connect(self.data_dir / "nodeferry.db")) as database, database:
            return database.execute(statement, values).fetchall()

    def end_at(self, name: str, when: float) -> None:
        """A recorded task that had ended: as if that had been at `when`, in Unix seconds."""
        moved = "finished_at = ?, snapshot = json_set(snapshot, '$.finished_at', ?)"
        self.sql(f"update installs set {moved} where task_id = ?", when, when, TASKS[name])

    def serve(self, **settings: Any) -> Api:
        """Today's service on the data folder, until the test ends. Nothing is too old for its history."""
        known = {"history_days": 0.0, "log_days": 0.0, "retry_seconds": 900.0, "connect_timeout_seconds": 15.0}
        schemes = ("https", "ssh", "http")
        chosen = Settings(data_dir=self.data_dir, allowed_git_schemes=schemes, **(known | settings))
        service = build_service(chosen, background=BackgroundTaskManager())
        self.close, self.engine = service.close, service.engine
        self._stack.callback(service.close)
        self.api = Api(service.app)
        return self.api

    def run_folder(self, instance: str, task: str, journal: str) -> Path:
        """The recorded folder of a run on a played instance, with `journal` as its journal, byte for byte: its offsets
        are in the database."""
        recorded = self.source / "instance" / instance / TASKS[task]
        target = self.standins[instance].home / STATE / TASKS[task]
        shutil.copytree(recorded, target)
        for path in filter(Path.is_file, target.rglob("*")):
            path.write_text(self.put(path.read_text("utf-8")), "utf-8")
        for path in target.glob("journal*"):
            path.unlink()
        shutil.copy(recorded / journal, target / "journal.ndjson")
        return target

    # -- what a client asks ------------------------------------------------------------------------------------------

    def task(self, name: str) -> Json:
        """GET /tasks/ID of a recorded task."""
        return content(self.api.get(f"/tasks/{TASKS[name]}"))

    def progress(self, name: str) -> Json:
        """One poll of a recorded task."""
        return self.api.progress(TASKS[name])

    def ended(self, name: str) -> Json:
        """The progress of a recorded task when it has ended."""
        wait_until(lambda: self.progress(name)["state"] in TERMINAL, 120, f"the end of {name}")
        return self.progress(name)

    def workflow(self, name: str) -> Json:
        """How a recorded workflow stands."""
        return content(self.api.get(f"/workflow/state?workflow_id={RECORDING['workflows'][name]}"))

    def _restore_data(self) -> None:
        self.data_dir.mkdir(mode=0o700)
        with contextlib.closing(sqlite3.connect(self.data_dir / "nodeferry.db")) as database:
            database.executescript(self.put((self.source / "data" / "nodeferry.sql").read_text("utf-8")))
        for folder in ("progress", "logs"):
            shutil.copytree(self.source / "data" / folder, self.data_dir / folder)
        owner = f"{socket.gethostname()}:{self.data_dir}"  # a predecessor on this folder, dead since its lock is ours
        self.sql("update installs set lease_owner = ? where lease_owner is not null", owner)

    def _closed_port(self) -> int:
        """A port that is bound and not listened on."""
        bound = self._stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def differences(was: Any, now: Any, path: str = "") -> Iterator[str]:
    """What an answer has lost or changed. New fields are no difference, and neither are the sentences that are made
    anew for each poll: those may be worded otherwise."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in was.keys() - _made_anew(was):
            if key in now:
                yield from differences(was[key], now[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: {was[key]!r} is gone"
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (before, after) in enumerate(zip(was, now, strict=True)):
            yield from differences(before, after, f"{path}[{index}]")
    elif was != now or type(was) is not type(now):
        yield f"{path}: {was!r} -> {now!r}"


def _made_anew(row: Mapping[str, Any]) -> set[str]:
    """Of a task's or a fleet row's fields: the message, unless it is an error's own, and the line of all packs."""
    if "message_code" in row:
        return {"message"} if row["error"] is None else set()
    return {"detail"} if row.get("name") == "Custom nodes" else set()


def _import_packs(folder: Path, git: GitServer) -> None:
    for source in sorted(folder.glob("*.fast-export")):
        path = git.path_of("o", source.stem)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
        with source.open("rb") as content_of_repository:
            argv = ["git", "--git-dir", str(path), "fast-import", "--quiet"]
            subprocess.run(argv, stdin=content_of_repository, check=True)
    git.set_rule("o/missing", MISSING)


def _standin(stack: ExitStack, root: Path, name: str) -> StandIn:
    """A stand-in with a uv that can install nothing: it is there, hence none is fetched, and no test needs packages."""
    standin = stack.enter_context(StandIn(root, name=name, with_pip=False, environ={}))
    uv = standin.home / ".local" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "uv 0.9.0"\n', "ascii")
    uv.chmod(0o755)
    return standin


def _keys(recorded: Mapping[str, str], standin: StandIn) -> list[tuple[str, str]]:
    """Where another machine came to the address, its pin stays and what the question shows is the stand-in's."""
    if "shown_sha256" in recorded:
        return [(recorded["shown_sha256"], standin.host_key_sha256)]
    public = (standin.root / "sshd" / "host_key.pub").read_text("ascii").split()[1]
    return [(recorded["host_key_sha256"], standin.host_key_sha256), (recorded["host_key_base64"], public)]


def _ports(recorded: int, ours: int) -> list[tuple[str, str]]:
    """A port is never replaced by itself: byte counts have five digits too."""
    forms = ("-p {}", "127.0.0.1:{}", "'127.0.0.1',{},", '"port":{}', '"port": {}')
    return [(form.format(recorded), form.format(ours)) for form in forms]


TIMES = re.compile(r"(_at|seconds|elapsed\w*|eta|began|timeline\.\w+|rate|ago|disk_\w+|revision)(\[\d+\])?$")
"""The fields that say when or how fast, at the end of a path of `differences`."""


def lasting_differences(was: Any, now: Any) -> list[str]:
    """`differences` but for times."""
    return [each for each in differences(was, now) if not TIMES.search(each.partition(":")[0])]
