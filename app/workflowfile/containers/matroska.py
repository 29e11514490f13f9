"""WebM and Matroska: EBML elements (RFC 8794, RFC 9559). Tags hold names and texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from app.workflowfile.containers.reading import Cut, Source, Texts, may_be_a_graph

SIGNATURE = b"\x1a\x45\xdf\xa3"
_SEGMENT, _CLUSTER, _TAGS, _TAG, _SIMPLE = 0x18538067, 0x1F43B675, 0x1254C367, 0x7373, 0x67C8
_NAME, _STRING = 0x45A3, 0x4487
_MAX_NESTED_TAGS = 8


class Element(NamedTuple):
    """An element, and where its content is; `end` is None where its size is not known (a live stream)."""

    kind: int
    start: int
    end: int | None


def read_matroska(source: Source) -> Texts:
    """The texts of a WebM or Matroska file."""
    for element in _elements(source, 0, source.size, enter=(_SEGMENT,)):
        if element.kind == _TAGS and element.end is not None:
            for tag in _elements(source, element.start, element.end):
                if tag.kind == _TAG and tag.end is not None:
                    yield from _simple_tags(source, tag.start, tag.end, 0)


def _simple_tags(source: Source, start: int, end: int, depth: int) -> Texts:
    for element in _elements(source, start, end):
        if element.kind == _SIMPLE and element.end is not None:
            name, value = _name_and_place(source, element)
            if name is not None and value is not None and may_be_a_graph(name):
                source.seek(value[0])
                yield name, source.read_exactly(value[1] - value[0])
            if depth < _MAX_NESTED_TAGS:
                yield from _simple_tags(source, element.start, element.end, depth + 1)


def _name_and_place(source: Source, simple: Element) -> tuple[str | None, tuple[int, int] | None]:
    """The name of a tag, and where its text is."""
    name: str | None = None
    value: tuple[int, int] | None = None
    for element in _elements(source, simple.start, simple.end or simple.start):
        if element.end is None:
            continue
        if element.kind == _NAME:
            source.seek(element.start)
            name = source.read_exactly(min(200, element.end - element.start)).decode("utf-8", "replace").rstrip("\0")
        elif element.kind == _STRING:
            value = (element.start, element.end)
    return name, value


def _elements(source: Source, start: int, end: int, enter: tuple[int, ...] = ()) -> Iterator[Element]:
    """The elements between two places. Those in `enter`, and clusters whose size is not known, are entered instead."""
    while start < end:
        source.count_part()
        try:
            source.seek(start)
            kind = _number(source, keep_mark=True)
            size = _number(source, keep_mark=False)
        except Cut:
            return
        content = source.position
        if kind is None or (size is not None and content + size > end):
            source.was_cut = source.was_cut or content + (size or 0) > source.size
            return
        if kind in enter or (size is None and kind == _CLUSTER):
            start = content
            continue
        if size is None:
            return
        yield Element(kind, content, content + size)
        start = content + size


def _number(source: Source, keep_mark: bool) -> int | None:
    """A number of one to eight bytes; None for a size of all ones, which means unknown, and for no number."""
    first = source.read_exactly(1)[0]
    if first == 0:
        return None
    length = 9 - first.bit_length()
    value = first if keep_mark else first & ((1 << (8 - length)) - 1)
    for byte in source.read_exactly(length - 1):
        value = value << 8 | byte
    unknown = not keep_mark and value == (1 << (7 * length)) - 1
    return None if unknown else value
