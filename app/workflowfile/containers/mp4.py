"""MP4, MOV and M4A: boxes (ISO/IEC 14496-12). ComfyUI writes keys of `mdta` (QuickTime metadata), VideoHelperSuite one
comment; both stand in `ilst` boxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from app.workflowfile.containers.reading import Cut, Source, Texts, may_be_a_graph

_MAX_KEYS = 1000
_COMMENTS = (b"\xa9cmt", b"desc", b"ldes")


class Box(NamedTuple):
    """A box, and where its content starts and ends in the file."""

    kind: bytes
    start: int
    end: int


def is_mp4(head: bytes) -> bool:
    """Whether a file starts as MP4 and MOV do."""
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def read_mp4(source: Source) -> Texts:
    """The texts of a video. Only boxes that may have them are entered."""
    for box in boxes(source, 0, source.size):
        if box.kind == b"moov":
            for inner in boxes(source, box.start, box.end):
                yield from _below_moov(source, inner)


def _below_moov(source: Source, box: Box) -> Texts:
    if box.kind == b"meta":
        yield from _meta(source, box)
    elif box.kind == b"udta":
        for inner in boxes(source, box.start, box.end):
            if inner.kind == b"meta":
                yield from _meta(source, inner)
            elif inner.kind in _COMMENTS and inner.end - inner.start > 4:
                source.seek(inner.start + 4)  # the text's length and language
                yield "comment", source.read_exactly(inner.end - inner.start - 4)


def boxes(source: Source, start: int, end: int) -> Iterator[Box]:
    """The boxes between two places; none behind one that is cut or whose length lies."""
    while start + 8 <= end:
        source.count_part()
        try:
            source.seek(start)
            header = source.read_exactly(8)
            size, content = int.from_bytes(header[:4], "big"), start + 8
            if size == 1:
                size, content = int.from_bytes(source.read_exactly(8), "big"), start + 16
        except Cut:
            return
        stop = end if size == 0 else start + size
        if stop < content or stop > end:
            source.was_cut = source.was_cut or stop > source.size
            return
        yield Box(header[4:], content, stop)
        start = stop


def _meta(source: Source, meta: Box) -> Texts:
    """A `meta` box: with version and flags (ISO) or without (QuickTime)."""
    source.seek(meta.start)
    start = meta.start if source.head(8)[4:] in (b"hdlr", b"keys", b"ilst", b"mhdr") else meta.start + 4
    keys: dict[int, str] = {}
    for box in boxes(source, start, meta.end):
        if box.kind == b"keys":
            keys = _keys(source, box)
        elif box.kind == b"ilst":
            for item in boxes(source, box.start, box.end):
                yield from _item(source, item, keys)


def _keys(source: Source, box: Box) -> dict[int, str]:
    """The names by their numbers, which are the kinds of the boxes in `ilst`."""
    found: dict[int, str] = {}
    place = box.start + 8
    while place + 8 <= box.end and len(found) < _MAX_KEYS:
        source.count_part()
        source.seek(place)
        size = int.from_bytes(source.read_exactly(4), "big")
        if size < 8 or place + size > box.end:
            break
        source.skip(4)
        name = source.read_exactly(min(size - 8, 200)).decode("utf-8", "replace")
        found[len(found) + 1] = name.rpartition(".")[2]
        place += size
    return found


def _item(source: Source, item: Box, keys: dict[int, str]) -> Texts:
    """One entry of `ilst`."""
    name: str | None = keys.get(int.from_bytes(item.kind, "big"))
    if name is None and item.kind in _COMMENTS:
        name = "comment"
    for box in boxes(source, item.start, item.end):
        if box.kind == b"name" and item.kind == b"----":
            source.seek(min(box.start + 4, box.end))
            name = source.read_exactly(min(200, box.end - source.position)).decode("utf-8", "replace")
        elif box.kind == b"data" and name is not None and may_be_a_graph(name) and box.end - box.start > 8:
            source.seek(box.start + 8)  # the value's type and language
            yield name, source.read_exactly(box.end - box.start - 8)
