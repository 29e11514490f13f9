"""WebP: RIFF chunks, of which EXIF has the texts (Google's WebP container specification)."""

from __future__ import annotations

from app.workflowfile.containers.exif import read_exif
from app.workflowfile.containers.reading import Cut, Source, Texts

_MOST_BLOCKS = 4


def is_webp(head: bytes) -> bool:
    """Whether a file starts as WebP does."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def read_webp(source: Source) -> Texts:
    """The texts of a WebP picture, still or animated."""
    source.seek(12)
    blocks = 0
    try:
        while True:
            source.count_part()
            header = source.read_exactly(8)
            length = int.from_bytes(header[4:], "little")
            if header[:4] == b"EXIF" and (blocks := blocks + 1) <= _MOST_BLOCKS:
                yield from read_exif(source.read_exactly(length))
            else:
                source.skip(length)
            if length % 2:
                source.skip(1)
    except Cut:
        return
