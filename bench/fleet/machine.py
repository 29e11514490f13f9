"""One played instance: what it remembers over all its connections, and what it answers to the service's commands."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from app.remote.packer import pack_runner
from bench.fleet.run import Run
from bench.fleet.script import Fate, Script
from bench.fleet.truth import truth_of
from bench.fleet.wire import json_line
from bench.hostile.words import Words

_PROBE = {"ui_home": "/workspace/ComfyUI", "system": "Linux", "warnings": [], "provisioning": []}


class Connection(Protocol):
    """A connection to this instance."""

    def abort(self) -> None:
        """Ends it at once."""


class Machine:
    """In the event loop's thread."""

    def __init__(self, script: Script, address: str) -> None:
        """`address`: as the service is given it."""
        self.script = script
        self.address = address
        self.connections: set[Connection] = set()
        self.runs: dict[str, Run] = {}
        self.is_away = False
        """Nobody gets in now."""
        self.connected_at = 0.0
        self.logins = 0
        self.cuts = 0
        self.asked: dict[str, int] = {}
        """How often each command came."""
        packed = pack_runner()
        self._runner = None if script.fresh else (packed.sha256, packed.name)
        """The hash and the name of the one that it has."""

    @property
    def first(self) -> Run | None:
        """The run of its first task."""
        return next(iter(self.runs.values()), None)

    def truth(self) -> dict[str, Any]:
        """What there is to know of it, for the bench: what its first task has to end as among it."""
        run = self.first
        about = {"number": self.script.number, "fate": self.script.fate, "recording": self.script.recording}
        happened = {"logins": self.logins, "cuts": self.cuts, "asked": self.asked, "runs": len(self.runs)}
        if run is None:
            end = {"state": "failed", "code": None} if self.script.fate is Fate.SILENT else None
            return {**about, **happened, "task_id": None, "end": end, "word": "none", "events": 0}
        return {
            **about,
            **happened,
            "task_id": run.task_id,
            "end": truth_of(run, self.script.recording),
            "word": run.word,
            "events": len(run.lines),
            "bytes": run.size,
            "wrote_last": time.time() - time.monotonic() + run.written[-1] if run.written else None,
            "connected_at": self.connected_at,
            "began": run.began,
        }

    def close(self) -> None:
        """Ends everything."""
        for run in self.runs.values():
            run.close()
        for connection in list(self.connections):
            connection.abort()

    # -- the commands --------------------------------------------------------------------------------------------

    def answer(self, words: Words, content: bytes) -> bytes:
        """The output of a short command; `content` is its input."""
        self.asked[words.name] = self.asked.get(words.name, 0) + 1
        if words.name == "find":
            return self._find(words)
        if words.name == "upload":
            return self._upload(words, content)
        return words.frame("r", json_line(self._answers.get(words.name, _unknown)(self, words, content)))

    def _find(self, words: Words) -> bytes:
        said = [("s", "Linux"), ("p", "/usr/bin/python3")]
        if self._runner is not None:
            said += [("h", self._runner[0]), ("f", f"/root/{self._runner[1]}")]
        return b"".join(words.frame(kind, text.encode()) for kind, text in said)

    def _upload(self, words: Words, content: bytes) -> bytes:
        _folder, name, sha256, size, tag = words.words
        if len(content) != int(size):
            return b""
        self._runner = (sha256, name)
        return f"\n{tag}:/root/{name}\n".encode()

    def _start(self, words: Words, content: bytes) -> dict[str, Any]:
        run = self.runs.get(words.task_id)
        if run is None:
            request = json.loads(content)
            run = self.runs[words.task_id] = Run(words.task_id, request.get("seal"), self.script, self._happened)
            run.begin()
        return {"status": run.word, "pid": 4000 + self.script.number, "offset": run.size, "sealed": run.sealed}

    def _status(self, words: Words, _content: bytes) -> dict[str, Any]:
        run = self.runs.get(words.task_id)
        return {"status": "unknown" if run is None else run.word, "offset": run.size if run else 0}

    def _cancel(self, words: Words, content: bytes) -> dict[str, Any]:
        run = self.runs.get(words.task_id)
        if run is not None:
            run.cancel()
        return self._status(words, content)

    def _sweep(self, _words: Words, _content: bytes) -> dict[str, Any]:
        return {"status": "swept", "ended_processes": 0, "removed": [], "rebooted": False}

    def _probe(self, _words: Words, _content: bytes) -> dict[str, Any]:
        return _PROBE

    _answers: ClassVar[dict[str, Callable[[Machine, Words, bytes], dict[str, Any]]]] = {
        "start": _start,
        "status": _status,
        "cancel": _cancel,
        "skip": _status,
        "answer": _status,
        "sweep": _sweep,
        "probe": _probe,
    }

    # -- the line ------------------------------------------------------------------------------------------------

    def greeted(self, connection: Connection) -> None:
        """A connection came."""
        self.connected_at = self.connected_at or time.monotonic()
        if self.is_away:
            connection.abort()
        else:
            self.connections.add(connection)

    def _happened(self, events: int) -> None:
        """An event was written: does the line break behind it?"""
        if len(self.runs) > 1:
            return
        for drop in self.script.drops:
            if drop.at == events:
                self.is_away = True
                self.cuts += 1
                for connection in list(self.connections):
                    connection.abort()
                asyncio.get_running_loop().call_later(drop.seconds, self._back)

    def _back(self) -> None:
        self.is_away = False


def _unknown(_machine: Machine, words: Words, _content: bytes) -> dict[str, Any]:
    message = f"A played instance does not know {words.name}."
    return {"error": {"code": "bad_request", "message": message, "hint": ""}}
