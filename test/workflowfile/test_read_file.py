"""A workflow file is known by its first bytes, and its graphs are found wherever tools put them."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from app.workflowfile.errors import NoWorkflow, TooMuch, UnknownFile, WorkflowFileError
from app.workflowfile.limits import MAX_TEXT_BYTES
from app.workflowfile.read_file import WorkflowFile, read_file

SAMPLES = Path(__file__).parent / "samples"
_KINDS = {
    "animated.png": "PNG picture",
    "animated.webp": "WebP picture",
    "api.json": "workflow JSON",
    "comment.jpg": "JPEG picture",
    "compressed.png": "PNG picture",
    "core.flac": "FLAC sound",
    "core.latent": "safetensors file",
    "core.mov": "MP4 video",
    "core.mp3": "MP3 sound",
    "core.mp4": "MP4 video",
    "core.opus": "Ogg sound",
    "core.png": "PNG picture",
    "core.webm": "WebM or Matroska video",
    "core.webp": "WebP picture",
    "faststart.mp4": "MP4 video",
    "helper.mp4": "MP4 video",
    "international.png": "PNG picture",
    "named-wrong.mp4": "WebM or Matroska video",
    "runpod.json": "workflow JSON",
    "ui.json": "workflow JSON",
}
_ONLY_UI = {"compressed.png", "international.png", "ui.json"}
_ONLY_API = {"api.json", "runpod.json"}


def _read(data: bytes) -> WorkflowFile:
    return read_file(io.BytesIO(data))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + b"\0\0\0\0"


def _png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


def test_every_kind_of_file_gives_its_graphs() -> None:
    files = {path.name: path.read_bytes() for path in SAMPLES.iterdir() if path.suffix != ".md"}
    found = {name: _read(data) for name, data in files.items()}
    assert {name: each.kind for name, each in found.items()} == _KINDS
    assert {name for name, each in found.items() if each.graphs.api is None} == _ONLY_UI
    assert {name for name, each in found.items() if each.graphs.ui is None} == _ONLY_API
    classes = {
        name: [node["type"] for node in each.graphs.ui["nodes"]][:2] for name, each in found.items() if each.graphs.ui
    }
    assert all(each == ["CheckpointLoaderSimple", "ImageResize+"] for each in classes.values())


def test_a_file_that_was_cut_off_keeps_what_came_before() -> None:
    """Uploads break. A sound's graphs stand before its samples, a picture's before its pixels."""
    for name in ("core.png", "core.flac", "core.opus", "core.mp3"):
        data = (SAMPLES / name).read_bytes()
        assert _read(data[: len(data) - 20]).graphs.ui is not None, name


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", UnknownFile, "no file that can hold a workflow"),
        (b"GIF89a" + b"\0" * 40, UnknownFile, "no file that can hold a workflow"),
        (b"PK\x03\x04" + b"\0" * 40, UnknownFile, "no file that can hold a workflow"),
        (_png(), NoWorkflow, "No workflow was saved with this PNG picture"),
        (_png(_chunk(b"tEXt", b"parameters\0a cat, Steps: 20")), NoWorkflow, "Some sites remove it"),
        (
            _png(_chunk(b"tEXt", b'workflow\0{"nodes": [')),
            WorkflowFileError,
            "workflow in this PNG picture is broken",
        ),
        (b'{"nodes": [', WorkflowFileError, "The JSON of this workflow is broken: line 1, column 12"),
        (b'{"a": 1}', NoWorkflow, "it has neither nodes nor classes, only a"),
        (b"[1, 2]", NoWorkflow, "it is a list"),
        (b'{"git_custom_nodes": {}, "comfyui": ""}', NoWorkflow, "it is a snapshot of ComfyUI-Manager"),
        (b'{"node_packs": []}', NoWorkflow, "it is a lock of Nodeferry"),
    ],
)
def test_what_is_no_workflow_is_named_for_what_it_is(data: bytes, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        _read(data)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        _png(_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b" " * (MAX_TEXT_BYTES + 1)))),
        b"[" * 500_000,
        b'{"nodes": [' + b'{"type": "a"},' * 450_000 + b"{}]}",
        b'{"nodes": [' + b'{"type": "a"},' * 3 + b"{}]}" + b" " * MAX_TEXT_BYTES,
    ],
    ids=["bomb", "lists", "nodes", "spaces"],
)
def test_more_than_any_workflow_needs_is_refused(data: bytes) -> None:
    with pytest.raises(TooMuch):
        _read(data)


def test_endless_parts_end() -> None:
    tiny = b"\0\0\0\0aaaa\0\0\0\0"
    with pytest.raises(TooMuch, match="more than 200000 parts"):
        _read(b"\x89PNG\r\n\x1a\n" + tiny * 200_002)


def test_a_graph_in_an_envelope_or_in_a_text_within_a_text_is_found() -> None:
    graph: dict[str, Any] = {"1": {"class_type": "KSampler", "inputs": {}}}
    wrapped: Any = graph
    for name in ("workflow", "input"):
        wrapped = {name: wrapped, "images": []}
    for value in (graph, wrapped, {"prompt": json.dumps(json.dumps(graph)), "client_id": "x"}):
        assert _read(json.dumps(value).encode()).graphs.api == graph


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_in_the_encodings_that_editors_write_is_read(encoding: str) -> None:
    text = json.dumps({"nodes": [{"type": "Größe", "id": 1}]}, ensure_ascii=False)
    found = _read(text.encode(encoding))
    assert found.graphs.ui is not None
    assert found.graphs.ui["nodes"][0]["type"] == "Größe"
