"""The journal's writer: one thread that numbers events, appends them, and keeps the snapshot file beside them.

Anybody may `tell`; only this module's thread writes. Events are lines of one `write()` each on an O_APPEND descriptor.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

from app.protocol import wire
from app.protocol.events import Event, Kind, ProtocolFault, decode, encode
from app.protocol.reducer import reduce
from app.protocol.snapshot import Snapshot

_SNAPSHOT_SECONDS = 0.5
_Item = Optional[Tuple[Kind, float, float, Dict[str, Any]]]


class Journal:
    """The journal of one run. `on_fault` is called once, from the writing thread, if no more can be written."""

    def __init__(
        self, path: Path, snapshot: Snapshot, progress_file: Path, on_fault: Callable[[Exception], None]
    ) -> None:
        self._fd = os.open(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._snapshot = snapshot
        self._progress_file = progress_file
        self._on_fault = on_fault
        self._seq = 0
        self._written_at = float("-inf")
        self._dirty = False
        self._queue: queue.Queue[_Item] = queue.Queue()
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot after the events that were written so far."""
        return self._snapshot

    def tell(self, kind: Kind, **fields: Any) -> None:
        """Something happened just now."""
        self._queue.put((kind, time.time(), time.monotonic(), fields))

    def close(self, timeout: float = 10.0) -> None:
        """Writes what is waiting, and the last snapshot."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _write_all(self) -> None:
        try:
            while self._write_next():
                pass
            self._save_snapshot()
        except (OSError, ProtocolFault) as exc:
            self._on_fault(exc)
        finally:
            os.close(self._fd)

    def _write_next(self) -> bool:
        try:
            item = self._queue.get(timeout=_SNAPSHOT_SECONDS if self._dirty else None)
        except queue.Empty:
            self._save_snapshot()
            return True
        if item is None:
            return False
        kind, wall, mono, fields = item
        self._seq += 1
        self._append(Event(kind, self._seq, wall, mono, fields=fields))
        if time.monotonic() - self._written_at > _SNAPSHOT_SECONDS:
            self._save_snapshot()
        return True

    def _append(self, event: Event) -> None:
        rest = encode(event)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._snapshot = reduce(self._snapshot, event, event.wall)
        self._dirty = True

    def _save_snapshot(self) -> None:
        shown = wire.progress(self._snapshot, time.time(), heard_at=time.time())
        replace_file(self._progress_file, json.dumps(shown).encode("ascii"))
        self._written_at = time.monotonic()
        self._dirty = False


def replace_file(path: Path, content: bytes) -> None:
    """The file with `content`, replaced at once: a reader sees the old or the new one. Never through a link."""
    temporary = path.with_name("%s.%d.tmp" % (path.name, os.getpid()))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(str(temporary), flags, 0o644)
    except FileExistsError:  # left by a killed runner of the same pid
        os.unlink(str(temporary))
        fd = os.open(str(temporary), flags, 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
    os.replace(str(temporary), str(path))


def has_ended(path: Path) -> bool:
    """Whether the journal's last whole line is its terminal event."""
    try:
        with open(str(path), "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return False
    try:
        return bool(lines) and decode(lines[-1]).kind is Kind.RUN_ENDED
    except ValueError:
        return False


def size(path: Path) -> int:
    """The journal's length in bytes; 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
