"""MP3: texts of an ID3v2 tag (id3.org, versions 2.3 and 2.4)."""

from __future__ import annotations

from app.workflowfile.containers.reading import Cut, Source, Texts, may_be_a_graph

_ENCODINGS = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}


def read_id3(source: Source) -> Texts:
    """The user-defined texts and comments of an MP3 file."""
    source.seek(3)
    try:
        head = source.read_exactly(7)
        end = 10 + _seven_bits(head[3:])
        while source.position + 10 <= end:
            source.count_part()
            header = source.read_exactly(10)
            size = _seven_bits(header[4:8]) if head[0] >= 4 else int.from_bytes(header[4:8], "big")
            if size == 0:
                return
            if header[:4] in (b"TXXX", b"COMM"):
                yield from _text(header[:4], source.read_exactly(size))
            else:
                source.skip(size)
    except Cut:
        return


def _seven_bits(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def _text(kind: bytes, data: bytes) -> Texts:
    encoding = _ENCODINGS.get(data[0] if data else 0, "utf-8")
    text = data[4 if kind == b"COMM" else 1 :].decode(encoding, "replace")
    name, _, value = text.partition("\0")
    name = "comment" if kind == b"COMM" else name.lstrip("\ufeff")
    if may_be_a_graph(name):
        yield name, value.strip("\0\ufeff").encode("utf-8", "replace")
