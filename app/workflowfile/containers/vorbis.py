"""FLAC, and Opus and Vorbis in Ogg: Vorbis comments `NAME=text` (RFC 9639, RFC 3533, RFC 7845)."""

from __future__ import annotations

from collections.abc import Iterator

from app.workflowfile.containers.reading import Cut, Source, Texts, may_be_a_graph
from app.workflowfile.errors import TooMuch
from app.workflowfile.limits import MAX_TEXT_BYTES

_MAX_COMMENTS = 10_000
_COMMENT_BLOCK = 4
_HEADERS = (b"OpusTags", b"\x03vorbis")


def read_flac(source: Source) -> Texts:
    """The texts of a FLAC file."""
    source.seek(4)
    try:
        last = False
        while not last:
            source.count_part()
            header = source.read_exactly(4)
            last, length = bool(header[0] & 0x80), int.from_bytes(header[1:], "big")
            if header[0] & 0x7F == _COMMENT_BLOCK:
                yield from _comments(source.read_exactly(length))
                return  # there is one at most
            source.skip(length)
    except Cut:
        return


def read_ogg(source: Source) -> Texts:
    """The texts of an Ogg file: of the first packets that are comments."""
    source.seek(0)
    for packet in _packets(source):
        for header in _HEADERS:
            if packet.startswith(header):
                yield from _comments(packet[len(header) :])
                return


def _packets(source: Source, most: int = 8) -> Iterator[bytes]:
    """The first packets of all streams as one. Comments are the second packet of a stream."""
    packet = bytearray()
    found = 0
    try:
        while found < most:
            source.count_part()
            header = source.read_exactly(27)
            if header[:4] != b"OggS":
                return
            for length in source.read_exactly(header[26]):
                packet += source.read_exactly(length)
                if len(packet) > MAX_TEXT_BYTES:
                    raise TooMuch(f"A comment of the file is larger than {MAX_TEXT_BYTES} bytes.")
                if length < 255:
                    yield bytes(packet)
                    found += 1
                    packet.clear()
    except Cut:
        return


def _comments(data: bytes) -> Texts:
    """`NAME=text`, each behind its length; nothing behind one whose length lies."""
    place = 4 + int.from_bytes(data[:4], "little")
    count = min(int.from_bytes(data[place : place + 4], "little"), _MAX_COMMENTS)
    place += 4
    for _ in range(count):
        length = int.from_bytes(data[place : place + 4], "little")
        place += 4
        if place + length > len(data):
            return
        name, equals, text = data[place : place + length].partition(b"=")
        decoded = name.decode("ascii", "replace")
        if equals and may_be_a_graph(decoded):
            yield decoded, text
        place += length
