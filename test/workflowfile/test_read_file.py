"""A workflow file is known by its first bytes, and its graphs are found wherever tools put them."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from app.workflowfile.containers.exif import read_exif
from app.workflowfile.errors import NoWorkflow, TooMuch, UnknownFile, WorkflowFileError
from app.workflowfile.limits import MAX_TEXT_BYTES, MAX_VALUES
from app.workflowfile.read_file import WorkflowFile, read_file

SAMPLES = Path(__file__).parent / "samples"
_KINDS = {
    "animated.png": "PNG picture",
    "animated.webp": "WebP picture",
    "api.json": "workflow JSON",
    "comment.jpg": "JPEG picture",
    "compressed.png": "PNG picture",
    "core.avif": "AVIF or HEIF picture",
    "core.flac": "FLAC sound",
    "core.latent": "safetensors file",
    "core.mov": "MP4 video",
    "core.mp3": "MP3 sound",
    "core.mp4": "MP4 video",
    "core.opus": "Ogg sound",
    "core.png": "PNG picture",
    "core.svg": "SVG picture",
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


def _exif(*texts: bytes, tag: int = 0x010F) -> bytes:
    """Little-endian EXIF of one directory."""
    start, entries, values = 8 + 2 + 12 * len(texts) + 4, b"", b""
    for text in texts:
        entries += struct.pack("<HHII", tag, 2, len(text), start + len(values))
        values += text
    return b"II*\0" + struct.pack("<IH", 8, len(texts)) + entries + b"\0" * 4 + values


def _jpeg(comment: bytes) -> bytes:
    data = b"Exif\0\0" + _exif(comment, tag=0x9286)
    return b"\xff\xd8\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data + b"\xff\xd9"


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
        (b"", UnknownFile, "The file is empty"),
        (b"\x01\x02" * 40, UnknownFile, "no file that can hold a workflow. Take the workflow's JSON"),
        (b"GIF89a" + b"\0" * 40, UnknownFile, "but a GIF, which has no room for a workflow: VideoHelperSuite"),
        (b"PK\x03\x04" + b"\0" * 40, UnknownFile, "but an archive: unpack it"),
        (b"\n<!DOCTYPE html><html>", UnknownFile, "but a web page, not the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid", UnknownFile, "but a pointer of Git LFS"),
        (b"BM" + b"\0" * 40, UnknownFile, "a picture of another kind. ComfyUI saves no workflow into it"),
        (_png(), NoWorkflow, "No workflow was saved with this PNG picture. Sites, messengers"),
        (_png(_chunk(b"tEXt", b"parameters\0a cat, Steps: 20")), NoWorkflow, "has settings as a text"),
        (
            _jpeg(b"\0" * 8 + b"a cat\nNegative prompt: dog\nSteps: 20, CFG scale: 7"),
            NoWorkflow,
            "has settings as a text",
        ),
        (_png()[:-12] + b"\0\0\x10\0IDATxx", NoWorkflow, "This PNG picture ends too early"),
        ((SAMPLES / "core.mp4").read_bytes()[:700], NoWorkflow, "This MP4 video ends too early"),
        (b"<svg><metadata>none</metadata></svg>", NoWorkflow, "No workflow was saved with this SVG picture"),
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
        b"[" + b"1.5," * (MAX_VALUES + 1) + b"0]",
        _png(*[_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b" " * (MAX_TEXT_BYTES - 9)))] * 2),
        _png(*[_chunk(b"tEXt", name + b"\0[" + b"{}," * 250_000 + b"0]") for name in (b"workflow", b"prompt")]),
    ],
    ids=["bomb", "lists", "nodes", "spaces", "values", "bombs", "texts"],
)
def test_more_than_any_workflow_needs_is_refused(data: bytes) -> None:
    with pytest.raises(TooMuch):
        _read(data)


def test_of_many_texts_with_one_name_the_first_is_read() -> None:
    graph = b'{"nodes": [{"type": "A"}], "x": [' + b"{}," * 200_000 + b"0]}"
    found = _read(_png(*[_chunk(b"tEXt", b"workflow\0" + graph)] * 40))
    assert found.graphs.ui is not None


def test_texts_of_exif_that_overlap_are_not_copied_each() -> None:
    """A thousand entries for the same 15 MB would be 15 GB."""
    data = bytearray(_exif(*[b"x" * 20] * 500))
    data += b'workflow:{"a": "' + b"x" * 100_000 + b'"}'
    for number in range(500):
        struct.pack_into("<II", data, 10 + 12 * number + 4, 100_018, len(data) - 100_018)
    assert sum(len(text) for _, text in read_exif(bytes(data))) <= len(data)


def test_exif_of_a_png_is_read_too() -> None:
    found = _read(_png(_chunk(b"eXIf", _exif(b'workflow:{"nodes": [{"type": "A"}]}'))))
    assert found.graphs.ui == {"nodes": [{"type": "A"}]}


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
