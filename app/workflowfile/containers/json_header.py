"""Files that begin with JSON of their own: safetensors and ComfyUI's `.latent` (`__metadata__`), and GLB
(`asset.extras` of glTF 2.0, which ComfyUI's SaveGLB fills)."""

from __future__ import annotations

import json
from typing import Any

from app.workflowfile.containers.reading import Cut, Source, Texts, may_be_a_graph
from app.workflowfile.errors import TooMuch
from app.workflowfile.json_text import BadText, load_text

_LARGEST_HEADER = 100_000_000
"""What safetensors itself allows."""


def is_safetensors(head: bytes) -> bool:
    """Whether a file starts as safetensors do: a length, and then an object."""
    return 2 <= int.from_bytes(head[:8], "little") <= _LARGEST_HEADER and head[8:9] == b"{"


def read_safetensors(source: Source) -> Texts:
    """The texts in a safetensors file's metadata."""
    source.seek(0)
    header = _object(source, int.from_bytes(source.read_exactly(8), "little"))
    yield from _texts(header.get("__metadata__"))


def read_glb(source: Source) -> Texts:
    """The texts in a GLB file's `asset.extras`."""
    source.seek(12)
    try:
        length, kind = int.from_bytes(source.read_exactly(4), "little"), source.read_exactly(4)
    except Cut:
        return
    if kind == b"JSON":
        asset = _object(source, length).get("asset")
        yield from _texts(asset.get("extras") if isinstance(asset, dict) else None)


def _object(source: Source, length: int) -> Any:
    """The object of so many bytes; an empty one where it is none. A model's header may be larger than any graph: its
    tensors are then more than anybody's workflow, and it has none."""
    try:
        value = load_text(source.read_exactly(length))
    except (Cut, BadText, TooMuch):
        return {}
    return value if isinstance(value, dict) else {}


def _texts(found: Any) -> Texts:
    for name, value in found.items() if isinstance(found, dict) else ():
        if may_be_a_graph(name):
            yield name, (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace")
