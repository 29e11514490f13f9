"""PNG and APNG: chunks tEXt, iTXt, zTXt (W3C PNG 3, 11.3.3), and ComfyUI's own `comf` in animated ones."""

from __future__ import annotations

import zlib

from app.workflowfile.containers.exif import read_exif
from app.workflowfile.containers.reading import Cut, Source, Text, Texts, may_be_a_graph
from app.workflowfile.errors import TooMuch
from app.workflowfile.limits import MAX_TEXT_BYTES, MAX_TEXT_BYTES_OF_A_FILE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST_NAME = 80
_MOST_BLOCKS = 4
_KINDS = (b"tEXt", b"iTXt", b"zTXt", b"comf")


def read_png(source: Source) -> Texts:
    """The texts of a PNG. Checksums are not checked: tools that edit texts leave wrong ones."""
    source.seek(len(SIGNATURE))
    blocks = total = 0
    kind = b""
    try:
        while True:
            source.count_part()
            header = source.read_exactly(8)
            length, kind = int.from_bytes(header[:4], "big"), header[4:]
            if kind == b"IEND":
                return
            if kind in _KINDS and _is_named(source):
                text = _text(kind, source.read_exactly(length))
                total += len(text[1])
                if total > MAX_TEXT_BYTES_OF_A_FILE:
                    raise TooMuch(f"The texts of the picture have more than {MAX_TEXT_BYTES_OF_A_FILE} bytes.")
                yield text
                source.skip(4)
            elif kind == b"eXIf" and (blocks := blocks + 1) <= _MOST_BLOCKS:
                yield from read_exif(source.read_exactly(length))
                source.skip(4)
            else:
                source.skip(length + 4)
    except Cut:
        source.was_cut = kind.isalpha()  # every PNG has an end


def _is_named(source: Source) -> bool:
    name = source.head(_LONGEST_NAME).partition(b"\0")[0]
    return may_be_a_graph(name.decode("latin-1"))


def _text(kind: bytes, data: bytes) -> Text:
    """The name and the bytes of a text's chunk; none for a compressed one that is broken."""
    name, _, rest = data.partition(b"\0")
    if kind == b"zTXt":
        return _inflated(name, rest[1:])
    if kind == b"iTXt":
        compressed = rest[:1] == b"\x01"
        value = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        return _inflated(name, value) if compressed else (name.decode("latin-1"), value)
    return name.decode("latin-1"), rest


def _inflated(name: bytes, data: bytes) -> Text:
    """Raises TooMuch for a bomb: no more than the limit is ever decompressed."""
    try:
        value = zlib.decompressobj().decompress(data, MAX_TEXT_BYTES + 1)
    except zlib.error:
        value = b""
    if len(value) > MAX_TEXT_BYTES:
        raise TooMuch(f"A compressed text of the picture is larger than {MAX_TEXT_BYTES} bytes.")
    return name.decode("latin-1"), value
