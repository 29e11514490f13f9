"""EXIF (TIFF 6.0 directories): ComfyUI writes `workflow:{…}` and `prompt:{…}` into tags of WebP pictures, counting down
from 0x010F; other tools use other tags, or the user comment. So every text is looked at, whatever its tag."""

from __future__ import annotations

import struct

from app.workflowfile.containers.reading import Texts, may_be_a_graph

_TEXTS = {1: 1, 2: 1, 7: 1}
"""Types whose value may be text: bytes, ASCII, undefined."""
_DIRECTORY = 0x8769
_MAX_ENTRIES = 1000
_SETTINGS = b"Steps: "
"""In the settings that Automatic1111, Forge and Civitai write as a text: no graph, but worth to be named."""
_CHARSETS = (b"ASCII\0\0\0", b"UNICODE\0", b"\0" * 8)


def read_exif(data: bytes) -> Texts:
    """The texts of an EXIF block, with or without its `Exif` mark."""
    data = data[6:] if data.startswith(b"Exif\0\0") else data
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return
    todo, seen = [struct.unpack_from(order + "I", data, 4)[0]], set[int]()
    left = len(data)
    while todo:
        offset = todo.pop()
        if offset in seen or len(seen) > 8:
            continue
        seen.add(offset)
        values, directories = _directory(data, order, offset)
        todo.extend(directories)
        for at, length in values:
            left -= length
            if left < 0:  # honest texts do not overlap
                return
            yield from _named(data[at : at + length])


def _directory(data: bytes, order: str, offset: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Where the texts of a directory are and how long, and where the directories below it are."""
    values: list[tuple[int, int]] = []
    below: list[int] = []
    if offset + 2 > len(data):
        return values, below
    count = min(struct.unpack_from(order + "H", data, offset)[0], _MAX_ENTRIES)
    for place in range(offset + 2, offset + 2 + 12 * count, 12):
        if place + 12 > len(data):
            break
        tag, kind, length, at = struct.unpack_from(order + "HHII", data, place)
        if tag == _DIRECTORY:
            below.append(at)
        elif kind in _TEXTS and 8 < length <= len(data) - at:
            values.append((at, length))
    return values, below


def _named(value: bytes) -> Texts:
    """`name:{…}` as a text; a text without a name as a comment."""
    for mark in _CHARSETS:
        if value.startswith(mark):
            value = _without_charset(value[len(mark) :], mark)
            break
    value = value.strip(b"\0 ")
    if value.startswith(b"{"):
        yield "comment", value
        return
    if _SETTINGS in value:
        yield "parameters", value
        return
    name, colon, text = value.partition(b":")
    decoded = name.decode("latin-1").strip()
    if colon and may_be_a_graph(decoded):
        yield decoded, text


def _without_charset(value: bytes, mark: bytes) -> bytes:
    if not mark.startswith(b"UNICODE"):
        return value
    encoding = "utf-16-be" if value[:1] == b"\0" else "utf-16-le"
    return value.decode(encoding, "replace").encode("utf-8", "replace")
