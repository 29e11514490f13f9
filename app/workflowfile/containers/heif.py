"""AVIF and HEIF pictures: an item `Exif` of the `meta` box (ISO/IEC 23008-12, 14496-12), in which tools keep graphs as
in WebP's EXIF."""

from __future__ import annotations

from app.workflowfile.containers.exif import read_exif
from app.workflowfile.containers.mp4 import Box, boxes
from app.workflowfile.containers.reading import Cut, Source, Texts
from app.workflowfile.limits import MAX_TEXT_BYTES

_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_MAX_ITEMS = 1000
_MAX_EXTENTS = 100
_MOST_BLOCKS = 4


def is_heif(head: bytes) -> bool:
    """Whether a file starts as AVIF and HEIF do."""
    return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def read_heif(source: Source) -> Texts:
    """The texts of a picture: of each item that is EXIF."""
    for box in boxes(source, 0, source.size):
        if box.kind == b"meta":
            yield from _meta(source, box)
            return


def _meta(source: Source, meta: Box) -> Texts:
    inside = {each.kind: each for each in boxes(source, min(meta.start + 4, meta.end), meta.end)}
    items, located = inside.get(b"iinf"), inside.get(b"iloc")
    if items is None or located is None:
        return
    try:
        wanted = _exif_items(source, items.start, items.end)
        source.seek(located.start)
        found = _Places(source.read_exactly(located.end - located.start)).of(wanted)
    except Cut:
        return
    for extents in found[:_MOST_BLOCKS]:
        yield from _exif(source, extents)


def _exif(source: Source, extents: list[tuple[int, int]]) -> Texts:
    """An item's EXIF: behind four bytes that say how far it is."""
    data = b""
    for start, length in extents:
        if len(data) + length > MAX_TEXT_BYTES:
            return
        try:
            source.seek(start)
            data += source.read_exactly(length)
        except Cut:
            return
    yield from read_exif(data[4 + int.from_bytes(data[:4], "big") :])


def _exif_items(source: Source, start: int, end: int) -> set[int]:
    """The ids of the items that are EXIF. Raises Cut."""
    source.seek(start)
    is_short = source.read_exactly(4)[0] == 0
    found = set()
    for number, box in enumerate(boxes(source, start + (6 if is_short else 8), end)):
        if number == _MAX_ITEMS:
            break
        source.seek(box.start)
        entry = source.read_exactly(min(14, box.end - box.start))
        wide = 4 if entry[:1] == b"\x03" else 2
        if entry[4 + wide + 2 :][:4] == b"Exif":
            found.add(int.from_bytes(entry[4 : 4 + wide], "big"))
    return found


class _Places:
    """An `iloc` box: where each item is. Raises Cut for one that ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def of(self, wanted: set[int]) -> list[list[tuple[int, int]]]:
        """The extents of each of these items."""
        version, _, sizes, more = self._number(1), self._number(3), self._number(1), self._number(1)
        id_size = 4 if version == 2 else 2
        found = []
        for _ in range(min(self._number(id_size), _MAX_ITEMS)):
            item = self._number(id_size)
            is_in_file = version == 0 or self._number(2) & 15 == 0
            self._number(2)  # which file it is in
            base = self._number(more >> 4)
            extents = []
            for _ in range(min(self._number(2), _MAX_EXTENTS)):
                self._number(more & 15 if version else 0)
                start = base + self._number(sizes >> 4)
                extents.append((start, self._number(sizes & 15)))
            if item in wanted and is_in_file:
                found.append(extents)
        return found

    def _number(self, size: int) -> int:
        if self._at + size > len(self._data):
            raise Cut
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big")
