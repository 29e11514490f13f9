"""JPEG: segments up to the picture, of which APP1 has EXIF (JEITA CP-3451)."""

from __future__ import annotations

from app.workflowfile.containers.exif import read_exif
from app.workflowfile.containers.reading import Cut, Source, Texts

_START_OF_SCAN, _END = 0xDA, 0xD9
_MOST_BLOCKS = 4


def read_jpeg(source: Source) -> Texts:
    """The texts of a JPEG picture."""
    source.seek(2)
    blocks = 0
    try:
        while True:
            source.count_part()
            mark, kind = source.read_exactly(2)
            if mark != 0xFF or kind in (_START_OF_SCAN, _END):
                return
            if kind == 0xFF:  # filling
                source.seek(source.position - 1)
                continue
            data = source.read_exactly(max(0, int.from_bytes(source.read_exactly(2), "big") - 2))
            if kind == 0xE1 and data.startswith(b"Exif\0\0") and (blocks := blocks + 1) <= _MOST_BLOCKS:
                yield from read_exif(data)
            elif kind == 0xFE:
                yield "comment", data
    except Cut:
        return
