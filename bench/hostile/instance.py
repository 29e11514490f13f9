"""The runner's side of a hostile instance: what each command of its protocol answers, truly or not."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import paramiko

from app.remote.packer import pack_runner
from bench.hostile import evil
from bench.hostile.journal import Journal
from bench.hostile.pace import Pace
from bench.hostile.script import Script
from bench.hostile.words import Words


class Instance:
    """What one hostile task's machine remembers, over all its connections. Called from the commands' threads."""

    def __init__(self, script: Script, journal: Journal) -> None:
        self._script = script
        self._journal = journal
        self._cancelled = threading.Event()
        self._started = False
        self.confirmed = False
        """Whether it has answered to a cancel, truly or not."""

    def answer(self, channel: paramiko.Channel, words: Words, pace: Pace, *, lies: bool, cut: bool) -> None:
        """One command to its end; with `cut` its connection is lost when it follows. Raises OSError."""
        if cut and words.name == "follow":
            self._journal.cut(channel, words, pace)
            return
        told = words.name if words.name in ("find", "upload") else "runner"
        getattr(self, f"_{told}")(channel, words, pace, lies)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            channel.send_exit_status(0)
            channel.shutdown_write()
            channel.close()

    def _find(self, channel: paramiko.Channel, words: Words, pace: Pace, lies: bool) -> None:
        packed = pack_runner()
        have = self._script.command != "upload" and self._script.dice("have").random() < 0.7
        said = [("s", "Linux"), ("p", "/usr/bin/python3")]
        said += [("h", packed.sha256), ("f", f"/root/{packed.name}")] if have else []
        if lies and self._script.level == "command":
            said = [(kind, self._lied(text, "find", kind)) for kind, text in said]
        for kind, text in said:
            channel.sendall(words.frame(kind, text.encode("utf-8", "surrogateescape")))
        if lies and self._script.what == "never ends":
            pace.stay()

    def _lied(self, text: str, *purpose: str) -> str:
        dice = self._script.dice("text", *purpose)
        return dice.choice((text, evil.STEERING, "x" * 200_000, "", "Plan 9", "; id", text))

    def _upload(self, channel: paramiko.Channel, words: Words, pace: Pace, lies: bool) -> None:
        while channel.recv(65536):
            if pace.over:
                return
        _folder, name, _sum, _size, tag = words.words
        path = self._lied(f"/root/{name}", "path") if lies and self._script.level == "command" else f"/root/{name}"
        channel.sendall(f"\n{tag}:{path}\n".encode("utf-8", "surrogateescape"))

    def _runner(self, channel: paramiko.Channel, words: Words, pace: Pace, lies: bool) -> None:
        if words.name == "follow":
            self._journal.follow(channel, words, pace, self._cancelled, lies=lies and self._script.level == "journal")
            return
        if words.name == "start":
            while channel.recv(65536):
                continue
        if words.name == "cancel" and self._script.level == "journal" and not self._script.confirms:
            pace.stay()
            return
        self.confirmed = self.confirmed or words.name == "cancel"
        known = self._true(words)
        if lies and self._script.level == "command":
            self._lie(channel, words, pace, known)
        else:
            channel.sendall(words.frame("r", evil.text_of(known)))

    def _true(self, words: Words) -> dict[str, Any]:
        if words.name == "start":
            first, self._started = not self._started, True
            offset = 0 if first else self._journal.size
            return {"status": "running", "offset": offset} | ({"pid": 4711} if first else {})
        if words.name == "cancel":
            if self._script.what != "cancel is not heeded":
                self._cancelled.set()
            return {"status": "ended", "offset": self._journal.size}
        if words.name == "sweep":
            return {"status": "swept", "ended_processes": 0, "removed": [], "rebooted": False}
        if words.name == "probe":
            return {"ui_home": "/workspace/ComfyUI", "python": "3.12.3", "gpu": [], "disk_free_bytes": 10**11}
        return {"status": "running" if self._started else "unknown", "offset": self._journal.size}

    def _lie(self, channel: paramiko.Channel, words: Words, pace: Pace, known: dict[str, Any]) -> None:
        what, dice = self._script.what, self._script.dice("answer", words.name)
        if what == "no answer":
            channel.sendall(b"Segmentation fault\n")
            return
        if what == "never ends":
            channel.sendall(words.frame("r", evil.text_of(known)))
            pace.repeat(lambda: _sent(channel, b"and so on\n" * 200))
            return
        if what == "too long":
            for _ in range(40):
                if not pace.spend(_sent(channel, words.frame("r", b'{"status":"' + b"x" * 1_000_000))):
                    return
        payloads = {
            "changed answer": evil.text_of(evil.changed(known, dice)),
            "not a number": evil.text_of({**known, "offset": dice.choice((float("nan"), 1e308, -5, True, "7"))}),
            "too deep": b'{"status":' * 100_000,
            "no object": dice.choice((b"[]", b"7", b"null", b"NaN", b'"running"')),
            "another's answer": evil.text_of({**known, "task_id": "550e8400-e29b-41d4-a716-446655440000", "offset": 9}),
            "an error that steers": evil.text_of({"error": _error(dice.random() < 0.5)}),
            "an evil status": evil.text_of({**known, "status": evil.STEERING}),
            "two answers": evil.text_of(known) + words.frame("r", b'{"status":7}'),
        }
        channel.sendall(words.frame("r", payloads.get(what, b"{")))


def _error(typed: bool) -> dict[str, Any]:
    if typed:
        return {"code": evil.STEERING, "message": evil.STEERING * 2000, "hint": evil.STEERING}
    return {"code": ["x"], "message": {"a": 1}, "hint": 7}


def _sent(channel: paramiko.Channel, content: bytes) -> int:
    channel.sendall(content)
    return len(content)
