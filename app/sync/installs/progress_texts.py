"""The text of an install's progress, made once for each snapshot, with gaps for what moves without an event.

A poll then costs what its gaps cost. Masked as every answer is, and made anew once there is another secret to mask.
"""

from __future__ import annotations

import json
import re
import secrets
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from app.protocol.redaction import masked, what_is_masked
from app.protocol.terminal_text import json_text
from app.sync.installs.progress_cache import InstallStatus

MAX_CHARS = 32 * 1024 * 1024
"""Of all tasks: the texts that nobody has asked for for the longest time go first."""
MAX_OF_A_TASK = 16
_COMPACT = (",", ":")
_MARK = secrets.token_hex(12)
"""No text from elsewhere has it."""
_GAP = re.compile(rf'"{_MARK}(\w+)"')
_KEPT_ROWS = ("nodes", "phases")
"""Lists of which a row that stays is the same object (`node_rows`)."""
_ENCODE = json.JSONEncoder(separators=_COMPACT, allow_nan=False).encode
_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_LAST_BLOCK = b"\x03\0"


@dataclass(frozen=True, slots=True)
class Filled:
    """An answer's JSON as it is `sent`. `text`: what it was made from, where that is kept; `gaps`: what is in them."""

    sent: bytes
    text: Text | None = None
    gaps: tuple[bytes, ...] = ()

    def packed(self) -> bytes | None:
        """As gzip; None where nothing of it was packed before: then it is packed as any other answer is."""
        return None if self.text is None else self.text.packed(self.gaps, self.sent)


@dataclass(slots=True)
class Text:
    """An answer's JSON: `pieces`, and between them the values of `names`."""

    pieces: tuple[bytes, ...]
    names: tuple[str, ...]
    deflated: tuple[bytes, ...] = ()
    newest: tuple[Hashable, Filled] | None = None

    def filled(self, moment: Hashable, moving: Callable[[], Mapping[str, Any]]) -> Filled:
        """The answer, with what moves as it is now. `moment`: what two have in common whose gaps are the same; None
        where it cannot be told."""
        newest = self.newest
        if moment is not None and newest is not None and newest[0] == moment:
            return newest[1]
        values = moving()
        gaps = tuple([_ENCODE(values[name]).encode() for name in self.names])
        found = Filled(b"".join(_alternating(self.pieces, gaps)), self, gaps)
        self.newest = moment, found
        return found

    def packed(self, gaps: Sequence[bytes], whole: bytes) -> bytes:
        """`whole` as gzip. The pieces were packed once, each by itself up to a byte's end; what is in the gaps stands
        between them as it is (RFC 1951, 3.2.4)."""
        if not self.deflated:
            self.deflated = tuple(_deflated(piece) for piece in self.pieces)
        stored = [struct.pack("<BHH", 0, len(gap), 0xFFFF ^ len(gap)) + gap for gap in gaps]
        end = struct.pack("<II", zlib.crc32(whole), len(whole) & 0xFFFFFFFF)
        return b"".join([_GZIP_HEAD, *_alternating(self.deflated, stored), _LAST_BLOCK, end])


def _deflated(piece: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)


def _alternating(pieces: Sequence[bytes], gaps: Sequence[bytes]) -> list[bytes]:
    found = [pieces[0]]
    for gap, piece in zip(gaps, pieces[1:], strict=True):
        found += [gap, piece]
    return found


_RowTexts = Mapping[int, tuple[Mapping[str, Any], str]]
"""By the id of a row: the row itself, and its masked text."""


@dataclass(slots=True)
class _OfTask:
    """The texts of a task's newest snapshot, by what was asked. `rows`: of each that may stay, by its identity."""

    status: InstallStatus
    masks: object
    rows: _RowTexts = field(default_factory=dict)
    texts: dict[Hashable, Text] = field(default_factory=dict)
    chars: int = 0

    def is_of(self, status: InstallStatus) -> bool:
        """Whether these are still what is to be said."""
        mine = self.status
        same = (mine.require, mine.purpose) == (status.require, status.purpose)
        return mine.snapshot is status.snapshot and same and self.masks is what_is_masked()


class ProgressTexts:
    """The texts of one service. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: OrderedDict[str, _OfTask] = OrderedDict()
        self._chars = 0

    def find(self, status: InstallStatus, asked: Hashable) -> Text | None:
        """The text of what was `asked` of this status; None where it is to be made."""
        task_id = status.snapshot.task_id
        with self._lock:
            known = self._tasks.get(task_id)
            if known is None or not known.is_of(status):
                return None
            self._tasks.move_to_end(task_id)
            return known.texts.get(asked)

    def make(
        self, status: InstallStatus, asked: Hashable, payload: Mapping[str, Any], moving: Mapping[str, Any]
    ) -> Filled:
        """`payload` as text, whose gaps are what it has of `moving`; kept for whoever asks the same."""
        masks = what_is_masked()
        with self._lock:
            known = self._tasks.get(status.snapshot.task_id)
            rows = known.rows if known is not None and known.masks is masks else {}
        made, new_rows = _text(payload, moving.keys(), rows)
        if made is None:
            return whole_text(payload)
        self._keep(status, asked, made, new_rows or rows, masks)
        return made.filled(None, lambda: moving)

    def _keep(self, status: InstallStatus, asked: Hashable, made: Text, rows: _RowTexts, masks: object) -> None:
        task_id = status.snapshot.task_id
        with self._lock:
            known = self._tasks.get(task_id)
            if known is None or not known.is_of(status):
                self._chars -= known.chars if known else 0
                known = self._tasks[task_id] = _OfTask(status, masks)
            if len(known.texts) >= MAX_OF_A_TASK:
                return
            chars = sum(map(len, made.pieces))
            if rows is not known.rows:
                chars += _chars_of(rows) - _chars_of(known.rows)
                known.rows = rows
            self._chars += chars
            known.chars += chars
            known.texts[asked] = made
            self._tasks.move_to_end(task_id)
            while self._chars > MAX_CHARS and len(self._tasks) > 1:
                self._chars -= self._tasks.popitem(last=False)[1].chars


def whole_text(payload: Mapping[str, Any]) -> Filled:
    """A text that nobody will ask for again."""
    return Filled(masked(json_text(payload, separators=_COMPACT)).encode())


def _text(payload: Mapping[str, Any], moving: AbstractSet[str], rows: _RowTexts) -> tuple[Text | None, _RowTexts]:
    """The text with its gaps, and its rows; None where a gap would be in the middle of a secret, or cannot be made."""
    patch = payload.get("patch")
    if patch is not None:
        if moving & (patch.keys() - {"set"}):  # only what such a row adds is in it
            return None, {}
        payload = {**payload, "patch": {**patch, "set": _marked(patch["set"], moving)}}
    marked = _marked(payload, moving)
    new_rows, lists = dict[int, tuple[Mapping[str, Any], str]](), {}
    for name in _KEPT_ROWS:
        if name in payload:
            of_list = {id(row): rows.get(id(row)) or _row_text(row) for row in payload[name]}
            lists[name] = f"[{','.join([text for _, text in of_list.values()])}]"
            marked[name] = _MARK + name
            new_rows.update(of_list)
    whole = json_text(marked, separators=_COMPACT)
    parts = _GAP.split(masked(whole))
    if len(parts) != len(_GAP.split(whole)):
        return None, {}
    return _joined(parts, lists), new_rows


def _chars_of(rows: _RowTexts) -> int:
    return sum([len(text) for _, text in rows.values()])


def _row_text(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    return row, masked(json_text(row, separators=_COMPACT))


def _marked(values: Mapping[str, Any], moving: AbstractSet[str]) -> dict[str, Any]:
    return {name: _MARK + name if name in moving else value for name, value in values.items()}


def _joined(parts: list[str], known: Mapping[str, str]) -> Text:
    """`parts` (text, name, text …), where what is known by its name already is filled in."""
    pieces, names = [parts[0]], []
    for name, piece in zip(parts[1::2], parts[2::2], strict=True):
        if name in known:
            pieces[-1] += known[name] + piece
        else:
            names.append(name)
            pieces.append(piece)
    return Text(tuple(piece.encode() for piece in pieces), tuple(names))
