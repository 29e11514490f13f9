"""SVG: ComfyUI's SaveSVG puts one JSON text into a CDATA section of `<metadata>`. It is found as a text, and no XML is
read: an SVG from outside may have entities that name files or grow without end."""

from __future__ import annotations

from app.workflowfile.containers.reading import Source, Texts
from app.workflowfile.limits import MAX_TEXT_BYTES

_OPEN, _CLOSE = b"<![CDATA[", b"]]>"


def is_svg(head: bytes) -> bool:
    """Whether a file starts as SVG does, with or without an XML declaration or a comment before."""
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    return text.startswith((b"<svg", b"<?xml", b"<!DOCTYPE svg"))


def read_svg(source: Source) -> Texts:
    """The text of the first `<metadata>`, which SaveSVG puts behind the opening tag."""
    source.seek(0)
    data = source.read_exactly(min(source.size, MAX_TEXT_BYTES))
    source.was_cut = b"</svg" not in data
    place = data.find(b"<metadata")
    begin = data.find(_OPEN, place) if place >= 0 else -1
    end = data.find(_CLOSE, begin) if begin >= 0 else -1
    if end >= 0:
        yield "comment", data[begin + len(_OPEN) : end].strip()
