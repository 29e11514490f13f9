"""Sends the bytes that the run's logs grew by, always after the journal's lines.

The reader says on the follower's input how much of each log it has: `{"logs": {"run.log": 120}}`. It says so at the
start, and again each time it has kept a piece; -1 means that it wants no more of that log. A reader that says nothing
gets no logs. A window limits the unconfirmed bytes, so that the journal never waits long behind logs on a slow line.
"""

from __future__ import annotations

import base64
import json
import os
import time
from typing import Dict, List, Optional, Set, Tuple

from app.protocol.log_names import NODES_FOLDER, is_log_name
from app.protocol.redaction import masked_bytes
from app.runner.daemon import frames
from app.runner.daemon.frames import Frames
from app.runner.process.paths import Task

_PIECE_BYTES = 16 * 1024
_WINDOW_BYTES = 64 * 1024
_PAUSE_SECONDS = 0.25
"""With the window: at most 256 KiB a second while the run goes on."""
_REST_SECONDS = 5.0
"""For what is left when the run has ended."""
_GREETING_SECONDS = 0.5
"""How long the end waits for a reader who has not said yet whether it wants logs."""
_INPUT_BYTES = 1024 * 1024
_NO_MORE = -1


class LogStream:
    """The logs of one run for one reader. Not thread-safe."""

    def __init__(self, task: Task, out: Frames) -> None:
        self._folder = task.folder
        self._out = out
        self._kept: Optional[Dict[str, int]] = None
        """What the reader has of each log; None until it has said so."""
        self._sent: Dict[str, int] = {}
        self._inodes: Dict[str, int] = {}
        self._replaced: Set[str] = set()
        """Logs in whose place another file was put."""
        self._unread = b""
        self._last = ""
        """The log that was sent last; the next round starts after it."""
        self._looked = float("-inf")
        self._rest_until: Optional[float] = None

    def apply(self, said: bytes) -> bool:
        """Takes what the reader wrote. Returns whether it asks to stop the run. Other lines, such as its pings, are
        ignored."""
        stops = False
        *lines, self._unread = (self._unread + said).split(b"\n")
        self._unread = self._unread[-_INPUT_BYTES:]
        for line in lines:
            try:
                value = json.loads(line) if line.strip() else None
            except (ValueError, RecursionError):
                continue
            said_of = value if isinstance(value, dict) else {}
            stops = stops or said_of.get("cancel") is True
            logs = said_of.get("logs")
            if isinstance(logs, dict):
                sizes = {name: size for name, size in logs.items() if type(size) is int}
                if self._kept is None:
                    self._kept, self._sent = {}, dict(sizes)
                self._kept.update(sizes)
        return stops

    def send(self) -> None:
        """Sends what the window allows while the run goes on. Raises BrokenPipeError when nobody reads any more."""
        now = time.monotonic()
        if self._kept is not None and now - self._looked >= _PAUSE_SECONDS:
            self._looked = now
            self._serve(final=False)

    def send_rest(self) -> bool:
        """Sends what the window allows of a run that has ended. Returns whether to call it again. Raises as `send`."""
        now = time.monotonic()
        if self._rest_until is None:
            self._rest_until = now + _REST_SECONDS
        if self._kept is None:
            return now < self._rest_until - _REST_SECONDS + _GREETING_SECONDS
        more = self._serve(final=True) or self._on_the_way() > 0
        return more and now < self._rest_until

    def _on_the_way(self) -> int:
        kept = self._kept or {}
        return sum(max(0, sent - kept.get(name, 0)) for name, sent in self._sent.items() if kept.get(name) != _NO_MORE)

    def _serve(self, *, final: bool) -> bool:
        """Sends a piece of each log in turn, as far as the window allows. Returns whether there is more."""
        files = self._files()
        names = sorted(files)
        names = [name for name in names if name > self._last] + [name for name in names if name <= self._last]
        room = _WINDOW_BYTES - self._on_the_way()
        more = True
        while more and room > 0:
            more = False
            for name in names:
                sent = self._send_piece(name, files[name], final=final) if room > 0 else 0
                room -= sent
                more = more or sent > 0 or room <= 0
        return more

    def _send_piece(self, name: str, size: int, *, final: bool) -> int:
        kept = self._kept if self._kept is not None else {}
        at, anew = self._sent.get(name, 0), False
        if kept.get(name) == _NO_MORE:
            return 0
        if (size < at or name in self._replaced) and kept.get(name, 0) >= at:  # truncated: from its beginning
            at, anew, kept[name] = 0, True, 0
            self._replaced.discard(name)
        piece = self._piece(name, at, size, final=final)
        if not piece:
            return 0
        encoded = base64.b64encode(masked_bytes(piece)).decode("ascii")
        self._sent[name], self._last = at + len(piece), name
        self._out.json(frames.LOG, {"log": name, "at": at, "anew": anew, "bytes": encoded})
        return len(piece)

    def _piece(self, name: str, at: int, size: int, *, final: bool) -> bytes:
        """The next bytes of a log, up to a line's end or at least a space: a URL with a password must not be cut."""
        try:
            with open(str(self._folder / name), "rb") as file:
                file.seek(at)
                raw = file.read(_PIECE_BYTES)
        except OSError:
            return b""
        if final and at + len(raw) >= size:
            return raw
        cut = max(raw.rfind(b"\n"), raw.rfind(b"\r")) + 1 or max(raw.rfind(b" "), raw.rfind(b"\t")) + 1
        return raw[:cut] if cut or len(raw) < _PIECE_BYTES else raw

    def _files(self) -> Dict[str, int]:
        """The existing logs and their sizes."""
        found: List[Tuple[str, int]] = []
        for folder in ("", NODES_FOLDER):
            try:
                with os.scandir(str(self._folder / folder)) as entries:
                    for entry in entries:
                        name = "%s/%s" % (folder, entry.name) if folder else entry.name
                        if is_log_name(name) and entry.is_file(follow_symlinks=False):
                            found.append((name, entry.stat(follow_symlinks=False).st_size))
                            if self._inodes.setdefault(name, entry.inode()) != entry.inode():
                                self._inodes[name] = entry.inode()
                                self._replaced.add(name)
            except OSError:  # not there yet
                continue
        return dict(found)
