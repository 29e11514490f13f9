"""What a follower sends: the journal of a real run, true, changed, or with something else in its place."""

from __future__ import annotations

import base64
import json
import random
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import paramiko

from bench.hostile import evil
from bench.hostile.pace import Pace
from bench.hostile.script import Script

if TYPE_CHECKING:
    from bench.hostile.words import Words

_LINE_SECONDS = 0.02
_HEARTBEAT_SECONDS = 1.0
_AT_ONCE = 200
"""Events that are sent in one piece, where they have no end."""


class Journal:
    """The journal of one task on a hostile instance. `recorded`: the lines of a real run."""

    def __init__(self, script: Script, recorded: list[bytes]) -> None:
        self._script = script
        self._events: list[dict[str, Any]] = [json.loads(line) for line in recorded]
        self._lines = recorded

    @property
    def size(self) -> int:
        """Its bytes so far, as this instance says."""
        return 0 if self._script.what == "shrinks" else sum(map(len, self._lines))

    def follow(
        self, channel: paramiko.Channel, words: Words, pace: Pace, cancelled: threading.Event, *, lies: bool
    ) -> None:
        """To the end. Raises OSError when nobody reads."""
        sender = _Sender(channel, words, pace, cancelled)
        if not lies:
            self._truly(sender, words.offset)
            return
        what = self._script.what
        play = _PLAYS.get(what)
        if play is not None:
            play(sender, self)
        else:
            if what == "steers":
                sender.log("run.log", 0, evil.STEERING * 3 + "\nover\runder\n")
            sender.play(list(self._changed(what)), 0 if what == "shrinks" else words.offset)
            sender.flood(_floods(what, self._script.dice("flood"), len(self._events)))
        sender.end("running" if what == "ends without an end" else "ended")

    def _truly(self, sender: _Sender, offset: int) -> None:
        """As the run was; with what brings the service to ask what this script lies at."""
        asked = self._script.command if self._script.level in ("command", "channel") else ""
        if asked in ("status", "sweep"):
            sender.play(self.begin(), offset)
            sender.end("died" if asked == "sweep" else "ended")
        elif asked == "cancel":
            sender.play(self.begin(), offset)
            sender.wait_for_cancel()
            sender.end("ended")
        else:
            sender.play(self._lines, offset)
            sender.end("ended")

    def cut(self, channel: paramiko.Channel, words: Words, pace: Pace) -> None:
        """The beginning of a true run, whose connection is lost."""
        _Sender(channel, words, pace, threading.Event()).play(self.begin(), words.offset)
        pace.end()

    def begin(self) -> list[bytes]:
        """The true lines to the middle, where a run is at work."""
        return self._lines[: len(self._lines) // 2]

    def dice(self, *more: object) -> random.Random:
        """Of the script."""
        return self._script.dice(*more)

    def _changed(self, what: str) -> Iterator[bytes]:
        """The lines as they are told."""
        dice, events = self._script.dice("lines"), self._events
        true = [evil.text_of(event) + b"\n" for event in events]
        half = len(true) // 2
        if what == "changed lines":
            for event, line in zip(events, true, strict=True):
                yield evil.line(event, dice) + b"\n" if dice.random() < 0.15 else line
        elif what in ("goes back", "repeats"):
            again = true[dice.randrange(half) : half] if what == "goes back" else [true[half - 1]] * 500
            yield from true[:half] + again + true[half:]
        elif what == "shrinks":
            yield from true[: max(1, dice.randrange(half))]
        elif what in ("ends without an end", "cancel is not heeded"):
            yield from true[:half]
        elif what == "ends twice":
            yield from [*true, *true[-1:], *true[half:]]
        else:
            yield from true[:half]
            yield from self._special(what, half)

    def _special(self, what: str, half: int) -> Iterator[bytes]:
        """Events of the lie's own, and then the others."""
        if what in _SPECIAL:
            dice, events = self._script.dice("lines"), self._events
            for number, event in enumerate(_SPECIAL[what](self._names())):
                yield evil.text_of({**events[half], "detail": "", **event, "seq": half + 1 + number}) + b"\n"
            for event in events[half:]:
                if dice.random() < 0.9:
                    yield evil.text_of({**event, "seq": event["seq"] + 10}) + b"\n"

    def _names(self) -> list[str]:
        return [pack["name"] for event in self._events for pack in event.get("nodes", ())] or ["a"]


class _Sender:
    """One follower's output."""

    def __init__(self, channel: paramiko.Channel, words: Words, pace: Pace, cancelled: threading.Event) -> None:
        self._channel = channel
        self._words = words
        self._pace = pace
        self._cancelled = cancelled
        self._stopped = False
        self.offset = 0
        self.seq = 0

    def play(self, lines: list[bytes], offset: int) -> None:
        """Whole lines from a byte offset on, until a cancel comes."""
        at = 0
        for line in lines:
            at += len(line)
            if at <= offset:
                continue
            if self._cancelled.is_set():
                self.stop()
                return
            if not self.line(line, at):
                return

    def line(self, line: bytes, at: int) -> bool:
        """One; whether there is time for more."""
        self.offset, self.seq = at, self.seq + 1
        self.send(self._words.frame("j", b"%d %s" % (at, line.rstrip(b"\n"))))
        return self._pace.spend(len(line)) and self._pace.hold(_LINE_SECONDS)

    def flood(self, events: Iterator[dict[str, Any]] | None) -> None:
        """Events to the end of the pace, many at once; heartbeats where there are none."""
        while events is not None and not self._stopped:
            piece = b""
            for _ in range(_AT_ONCE):
                line = evil.text_of(next(events))
                self.offset += len(line) + 1
                piece += self._words.frame("j", b"%d %s" % (self.offset, line))
                if len(piece) > 4_000_000:
                    break
            self.send(piece)
            if not self._pace.spend(len(piece)):
                return

    def stop(self) -> None:
        """The true end of a cancelled run."""
        self._stopped = True
        event = {"seq": 10**6, "wall": 0.0, "mono": 0.0, "event": "run_ended", "state": "cancelled", "error": None}
        self.send(self._words.frame("j", b"%d %s" % (self.offset + 100, evil.text_of(event))))

    def end(self, word: str) -> None:
        """Nothing more will come."""
        self.send(self._words.frame("e", evil.text_of({"status": word})))

    def repeat(self, content: Callable[[], bytes], seconds: float = 0.0) -> None:
        """Sends something without end."""
        while self._pace.spend(self.send(content())) and (not seconds or self._pace.hold(seconds)):
            continue

    def log(self, name: str, at: int, text: str) -> None:
        """A piece of a log."""
        content = base64.b64encode(text.encode("utf-8", "replace")).decode()
        self.send(self.frame("l", evil.text_of({"log": name, "at": at, "anew": False, "bytes": content})))

    def frame(self, kind: str, payload: bytes) -> bytes:
        """A marked line."""
        return self._words.frame(kind, payload)

    def wait_for_cancel(self) -> None:
        """Heartbeats until it comes."""
        while self._pace.hold(_HEARTBEAT_SECONDS) and not self._cancelled.is_set():
            self.send(self.frame("h", b"{}"))
        if not self._stopped:
            self.stop()

    def silence(self) -> None:
        """Nothing comes any more."""
        self._pace.stay()

    def send(self, content: bytes) -> int:
        """Raises OSError."""
        self._channel.sendall(content)
        return len(content)


def _floods(what: str, dice: random.Random, seq: int) -> Iterator[dict[str, Any]] | None:
    """Well-formed events without end."""
    made = _FLOODS.get(what)
    if made is None:
        return None

    def events() -> Iterator[dict[str, Any]]:
        number = seq // 2
        while True:
            number += 1
            yield {"seq": number, "wall": 1.8e9, "mono": float(number), **made(number, dice)}

    return events()


def _question(number: int, _dice: random.Random) -> dict[str, Any]:
    answers = [{"answer": word, "label": evil.STEERING} for word in ("yes", "no")]
    about = {"id": f"q{number}", "code": "host_key_changed", "text": evil.STEERING, "answers": answers, "default": "no"}
    question = {**about, "hint": "", "seconds": 600.0, "subject": "", "facts": {}, "asked_at": 1.0}
    return {"event": "question_asked", "question": question}


_FLOODS: dict[str, Callable[[int, random.Random], dict[str, Any]]] = {
    "steps without end": lambda n, _: {"event": "step", "name": f"step {n} {'x' * 80}", "status": "running"},
    "warnings without end": lambda n, _: {
        "event": "warning",
        "code": f"w{n}",
        "message": f"{n} " + "m" * 300,
        "hint": "",
    },
    "plans without end": lambda n, _: {"event": "plan", "changes": [_change(f"p{n}-{each}") for each in range(20)]},
    "facts without end": lambda n, _: {"event": "probed", "ui_home": "/c", f"fact {n}": "f" * 500},
    "builds without end": lambda n, _: {
        "event": "build",
        "package": f"b{n}",
        "version": "1",
        "state": "running",
        "packs": ["a"] * 50,
        "detail": "d" * 200,
    },
    "questions without end": _question,
    "texts of 1 MB without end": lambda n, _: {"event": "warning", "code": f"w{n}", "message": "m" * 1_000_000},
    "unknown events without end": lambda n, _: {"event": f"invented {n}", "x": [1, 2, 3]},
}


def _change(package: str) -> dict[str, Any]:
    return {
        "package": package,
        "old": None,
        "new": "1",
        "change": "add",
        "downgrade": False,
        "wanted_by": ["a"],
        "bytes": 1,
        "lane": "agrees",
        "wheel": None,
        "source": None,
    }


def _pack(name: str, url: str) -> dict[str, Any]:
    return {"name": name, "repo_url": url, "subfolder": None, "requirements_file": None, "ref": None, "folder": name}


def _invented(names: list[str]) -> list[dict[str, Any]]:
    packs = [_pack(name, "https://github.com/foreign/pack") for name in names]
    packs += [
        _pack("evil", "ext::sh -c id"),
        _pack("../../evil", "https://github.com/o/p"),
        _pack("new", "https://x.invalid/o/p"),
    ]
    error = {"code": "script_failed", "message": evil.STEERING, "hint": evil.STEERING}
    failed = [{"event": "node", "name": pack["name"], "state": "failed", "error": error} for pack in packs]
    return [{"event": "manifest", "source": "nodes", "nodes": packs}, *failed]


def _steering(names: list[str]) -> list[dict[str, Any]]:
    error = {"code": "script_failed", "message": evil.STEERING, "hint": evil.STEERING}
    return [
        {"event": "warning", "code": "note", "message": evil.STEERING, "hint": evil.STEERING},
        {"event": "step", "name": evil.STEERING, "status": "running", "detail": evil.STEERING},
        {"event": "probed", "ui_home": evil.STEERING, "driver": evil.STEERING},
        *(
            {"event": "node", "name": name, "state": "failed", "error": error, "commit": evil.STEERING}
            for name in names
        ),
    ]


def _lying_lock(_names: list[str]) -> list[dict[str, Any]]:
    lock = {"format": 1, "node_packs": [_pack("evil", "ext::sh -c id")] * 500, "packages": {evil.STEERING: "1"}}
    return [
        {"event": "lock", "lock": lock},
        {"event": "lock", "lock": {}},
        {"event": "lock", "lock": {"format": [[1]]}},
    ]


_SPECIAL: dict[str, Callable[[list[str]], list[dict[str, Any]]]] = {
    "invented packs": _invented,
    "steers": _steering,
    "a lock that lies": _lying_lock,
}


def _only_heartbeats(sender: _Sender, journal: Journal) -> None:
    sender.play(journal.begin(), 0)
    sender.repeat(lambda: sender.frame("h", b'{"offset": 0}'), _HEARTBEAT_SECONDS)


def _silence(sender: _Sender, journal: Journal) -> None:
    sender.play(journal.begin(), 0)
    sender.silence()


def _noise(sender: _Sender, journal: Journal) -> None:
    sender.play(journal.begin(), 0)
    sender.repeat(lambda: b"motd: 7 updates are available\n" * 400)


def _endless_line(sender: _Sender, journal: Journal) -> None:
    sender.play(journal.begin(), 0)
    sender.repeat(lambda: b"x" * 60_000)


def _endless_logs(sender: _Sender, journal: Journal) -> None:
    sender.play(journal.begin(), 0)
    dice = journal.dice("logs")
    content = base64.b64encode((evil.STEERING * 60).encode("utf-8", "replace")).decode()
    at = {"run.log": 0, "nodes/a.log": 0}

    def piece() -> bytes:
        name = dice.choice((*at, f"nodes/{dice.randrange(10**9)}.log"))
        place = at.get(name, 0)
        at[name] = place + len(evil.STEERING.encode()) * 60
        return sender.frame("l", evil.text_of({"log": name, "at": place, "anew": False, "bytes": content}))

    sender.repeat(piece)


def _bad_logs(sender: _Sender, journal: Journal) -> None:
    sender.play(journal.begin(), 0)
    dice = journal.dice("bad logs")
    names = ("../../evil", "/etc/passwd", "run.log", "nodes/../run.log", evil.STEERING, "", "run.log\x00")

    def piece() -> bytes:
        raw = {"log": dice.choice(names), "at": dice.choice((-1, 0, 2**63, 10**30)), "anew": True, "bytes": "YQ=="}
        return sender.frame("l", evil.text_of(evil.changed(raw, dice) if dice.random() < 0.3 else raw))

    sender.repeat(piece, 0.01)


def _bad_frames(sender: _Sender, journal: Journal) -> None:
    sender.play(journal.begin(), 0)
    dice = journal.dice("frames")
    kinds = ("z", "j", "r", "e", "l", "w", "\x00", "h")

    def frame() -> bytes:
        payload = dice.choice((b"", b"{", b"7 7 7", b"[" * 5000, b"{}", b"\xff" * 50, b"{\x22status\x22: NaN}"))
        return sender.frame(dice.choice(kinds), payload)

    sender.repeat(frame, 0.05)


def _bad_offsets(sender: _Sender, journal: Journal) -> None:
    dice = journal.dice("offsets")
    at = 0
    for line in journal.begin():
        at += len(line)
        wrong = dice.choice((0, at - 10, 10**17, at, at, at, 999_999_999_999_999_999))
        if not sender.line(line, wrong):
            return
    sender.repeat(lambda: sender.frame("j", b"-1 {}"), 0.2)


_PLAYS: dict[str, Callable[[_Sender, Journal], None]] = {
    "heartbeats without end": _only_heartbeats,
    "silence": _silence,
    "noise without end": _noise,
    "a line without end": _endless_line,
    "logs without end": _endless_logs,
    "logs that are none": _bad_logs,
    "frames that are none": _bad_frames,
    "offsets that are none": _bad_offsets,
}
