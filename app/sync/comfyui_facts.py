"""What the ComfyUI of an instance says of itself, through the SSH connection: its version and its classes."""

from __future__ import annotations

from collections.abc import Container

from app.nodemap.object_info import ObjectInfo, ObjectInfoReader, ObjectInfoUnusable
from app.remote.deadline import Deadline
from app.remote.host import RemoteHost
from app.remote.web_text import Stream, WebError, fetch

CLASSES_SECONDS = 120.0
"""For `/object_info`: packs that ask the web for their choices take long, and a page would wait for them too."""
MAX_CLASSES_BYTES = 256 * 1024 * 1024
"""Read as it comes, so that this is never in memory at once."""


def classes_of(
    host: RemoteHost, port: int, keep: Container[str] = (), *, seconds: float = CLASSES_SECONDS
) -> ObjectInfo:
    """The classes of the ComfyUI at this port of the instance's loopback interface; all that it says of those in
    `keep`. Raises WebError where it has no such answer, RemoteError where the connection is lost."""

    def open_tunnel(name: str, port: int, left: Deadline) -> Stream:
        return host.open_tunnel(name, port, left.remaining)

    reader = ObjectInfoReader(keep)
    url = f"http://127.0.0.1:{port}/object_info"
    fetch(url, seconds, most=MAX_CLASSES_BYTES, open_stream=open_tunnel, sink=reader.feed)
    try:
        return reader.end()
    except ObjectInfoUnusable as exc:
        raise WebError(str(exc)) from exc
