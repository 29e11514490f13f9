"""What a follower sends of a run's logs."""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.runner.daemon import log_stream
from app.runner.daemon.frames import Frames
from app.runner.daemon.log_stream import LogStream
from app.runner.process.paths import Task
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.runner.rig import NONCE, Rig, frames_of, node
from test.support.waiting import wait_until


class Reader:
    """The reading end: a follower's output, and what is said to it."""

    def __init__(self, task: Task, output: Path) -> None:
        self._output = output
        self._fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.logs = LogStream(task, Frames(NONCE, self._fd))

    def close(self) -> None:
        os.close(self._fd)

    def say(self, **sizes: int) -> None:
        self.logs.apply(json.dumps({"logs": {f"{name}.log": size for name, size in sizes.items()}}).encode() + b"\n")

    def pieces(self) -> list[tuple[str, int, bool, bytes]]:
        """Everything that was sent so far."""
        found = [frame.json for frame in frames_of(self._output.read_bytes()) if frame.kind == "l"]
        return [(piece["log"], piece["at"], piece["anew"], base64.b64decode(piece["bytes"])) for piece in found]

    def rest(self) -> dict[str, bytes]:
        """What comes when the run has ended, each piece confirmed."""
        kept: dict[str, bytes] = {}
        while self.logs.send_rest():
            for name, at, _anew, content in self.pieces():
                if at == len(kept.get(name, b"")):
                    kept[name] = kept.get(name, b"") + content
                    self.say(**{name.removesuffix(".log"): len(kept[name])})
        return kept


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A run's folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    task = Task(str(uuid.uuid4()))
    (task.folder / "nodes").mkdir(parents=True)
    return task


@pytest.fixture
def reader(task: Task, tmp_path: Path) -> Iterator[Reader]:
    """Somebody who follows it."""
    reader = Reader(task, tmp_path / "output")
    yield reader
    reader.close()


def test_who_says_nothing_is_sent_no_logs(task: Task, reader: Reader) -> None:
    """A service of an earlier version sends only empty lines; it gets what it always got."""
    task.log.write_bytes(b"one\n")
    reader.logs.apply(b"\n\n")
    reader.logs.send()
    wait_until(lambda: not reader.logs.send_rest(), what="the end waits for a greeting, not for ever")
    assert reader.pieces() == []


def test_what_a_log_grew_by_is_sent_once(task: Task, reader: Reader) -> None:
    """From the byte that the reader has; a line that is still being written waits for its end."""
    task.log.write_bytes(b"one\ntwo")
    task.node_log("Some Pack").write_bytes(b"a\rb\r")
    reader.say(run=2)
    reader.logs.send()
    assert reader.pieces() == [("nodes/Some Pack.log", 0, False, b"a\rb\r"), ("run.log", 2, False, b"e\n")]
    assert reader.rest() == {"nodes/Some Pack.log": b"a\rb\r"}
    assert reader.pieces()[-1] == ("run.log", 4, False, b"two")


def test_only_so_much_is_on_its_way(task: Task, reader: Reader) -> None:
    """Until the reader has kept it: on a slow line the journal waits behind 64 KiB at most."""
    content = b"x" * 63 + b"\n"
    task.log.write_bytes(content * 8000)
    reader.say()
    reader.logs.send()
    first = sum(len(piece[3]) for piece in reader.pieces())
    assert 48 * 1024 < first <= 80 * 1024
    assert reader.logs.send_rest()
    assert sum(len(piece[3]) for piece in reader.pieces()) <= 80 * 1024
    assert reader.rest()["run.log"] == content * 8000


def test_a_silent_reader_ends_the_rest_in_time(task: Task, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody confirms is not waited for for ever."""
    monkeypatch.setattr(log_stream, "_REST_SECONDS", 0.2)
    task.log.write_bytes(b"x\n" * 100_000)
    reader.say()
    wait_until(lambda: not reader.logs.send_rest(), what="the rest is given up")


def test_a_log_that_nobody_wants_more_of_is_not_sent(task: Task, reader: Reader) -> None:
    """-1 is said for one that takes no more."""
    task.log.write_bytes(b"one\n")
    reader.say(run=-1)
    assert reader.rest() == {} and reader.pieces() == []


def test_a_log_that_became_shorter_is_sent_from_its_beginning(task: Task, reader: Reader) -> None:
    """And marked, so that the reader does not put it behind other bytes unseen."""
    task.log.write_bytes(b"new\n")
    reader.say(run=400)
    reader.logs.send()
    assert reader.pieces() == [("run.log", 0, True, b"new\n")]


def test_passwords_do_not_leave_the_instance(task: Task, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """In URLs that git prints; also where a piece would have ended in the middle of one."""
    monkeypatch.setattr(log_stream, "_PIECE_BYTES", 40)
    line = b"fatal: https://user:hunter2secret@host.example/x is away\n"
    task.log.write_bytes(line * 20)
    reader.say()
    sent = reader.rest()["run.log"]
    assert b"hunter2" not in sent and b"secret" not in sent
    assert len(sent) == len(line) * 20


def test_what_is_no_log_is_not_sent(task: Task, reader: Reader, tmp_path: Path) -> None:
    """Neither other files of the run nor what a link leads to."""
    (tmp_path / "secret").write_text("secret\n")
    (task.folder / "request.json").write_text("{}\n")
    (task.folder / "link.log").symlink_to(tmp_path / "secret")
    (task.folder / "odd\nname.log").write_text("odd\n")
    reader.say()
    assert reader.rest() == {} and reader.pieces() == []


def test_odd_words_of_the_reader_do_nothing(task: Task, reader: Reader) -> None:
    """Only objects with sizes count."""
    task.log.write_bytes(b"one\n")
    for odd in (b"{", b"[]", b'{"logs": 3}', b'"logs"', b"\xff"):
        reader.logs.apply(odd + b"\n")
    reader.logs.send()
    assert reader.pieces() == []
    reader.logs.apply(b'{"logs": {"run.log": "x", ')
    reader.logs.apply(b'"other": true}}\n')
    assert reader.rest() == {"run.log": b"one\n"}


def test_the_runs_log_tells_what_happened(rig: Rig, git_server: GitServer) -> None:
    """For each phase and pack a line, with the reason of what failed; without a Python error."""
    pack = make_pack(git_server, "owner", "good", payload_bytes=1000)
    gone = {"name": "gone", "repo_url": f"{git_server.url}/owner/gone"}
    run = rig.install([node(pack), gone])
    text = (run.folder / "run.log").read_text()
    assert "pack good: installed" in text
    assert "pack gone: failed (" in text
    assert "phase clone: running" in text and "the run ended: completed" in text
    assert "Traceback" not in text
