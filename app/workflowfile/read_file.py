"""A file as the graphs in it: `read_file`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from app.workflowfile.containers.id3 import read_id3
from app.workflowfile.containers.jpeg import read_jpeg
from app.workflowfile.containers.json_header import is_safetensors, read_glb, read_safetensors
from app.workflowfile.containers.matroska import SIGNATURE as MATROSKA
from app.workflowfile.containers.matroska import read_matroska
from app.workflowfile.containers.mp4 import is_mp4, read_mp4
from app.workflowfile.containers.png import SIGNATURE as PNG
from app.workflowfile.containers.png import read_png
from app.workflowfile.containers.reading import Source, Texts
from app.workflowfile.containers.riff import is_webp, read_webp
from app.workflowfile.containers.vorbis import read_flac, read_ogg
from app.workflowfile.errors import NoWorkflow, TooMuch, UnknownFile, WorkflowFileError
from app.workflowfile.forms import Graphs, graphs_of
from app.workflowfile.json_text import BadText, load_text
from app.workflowfile.limits import MAX_FILE_BYTES, MAX_TEXTS

_Reader = Callable[[Source], Texts]


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name for people, how it starts, who reads it."""

    name: str
    starts: Callable[[bytes], bool]
    read: _Reader


_KINDS = (
    Kind("PNG picture", lambda head: head.startswith(PNG), read_png),
    Kind("WebP picture", is_webp, read_webp),
    Kind("JPEG picture", lambda head: head.startswith(b"\xff\xd8\xff"), read_jpeg),
    Kind("MP4 video", is_mp4, read_mp4),
    Kind("WebM or Matroska video", lambda head: head.startswith(MATROSKA), read_matroska),
    Kind("FLAC sound", lambda head: head.startswith(b"fLaC"), read_flac),
    Kind("Ogg sound", lambda head: head.startswith(b"OggS"), read_ogg),
    Kind("MP3 sound", lambda head: head.startswith(b"ID3"), read_id3),
    Kind("GLB model", lambda head: head.startswith(b"glTF"), read_glb),
    Kind("safetensors file", is_safetensors, read_safetensors),
)
_JSON = "workflow JSON"
_HEAD = 64


@dataclass(frozen=True)
class WorkflowFile:
    """What a file is, and the graphs in it: at least one. `name`: as its owner calls it."""

    kind: str
    graphs: Graphs
    name: str | None = None


def read_file(file: IO[bytes]) -> WorkflowFile:
    """The graphs in a seekable binary file, known by its first bytes and never by its name. Raises WorkflowFileError
    with words for its owner."""
    source = Source(file)
    if source.size > MAX_FILE_BYTES:
        raise TooMuch(f"The file has {source.size} bytes; at most {MAX_FILE_BYTES} are read.")
    head = source.head(_HEAD)
    kind = next((each for each in _KINDS if each.starts(head)), None)
    if kind is not None:
        return WorkflowFile(kind.name, _embedded(kind, source))
    if not _may_be_json(head):
        raise UnknownFile("This is no file that can hold a workflow. Take the JSON, or the picture that ComfyUI saved.")
    try:
        value = load_text(source.read_exactly(source.size))
    except BadText as exc:
        raise WorkflowFileError(f"The JSON of this workflow is broken: {exc}. Export it again.") from None
    return WorkflowFile(_JSON, graphs_of({"": value}, "This JSON"))


def _may_be_json(head: bytes) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \r\n\t")
    return text[:1] in (b"{", b"[")


def _embedded(kind: Kind, source: Source) -> Graphs:
    """The graphs in a picture, a video, a sound or a model."""
    values: list[tuple[str, Any]] = []
    broken: BadText | None = None
    for name, raw in kind.read(source):
        if len(values) >= MAX_TEXTS:
            break
        if raw.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \r\n\t")[:1] not in (b"{", b"[", b'"'):
            continue
        try:
            values.append((name.lower(), load_text(raw)))
        except BadText as exc:
            broken = exc
    if values:
        return graphs_of(_first_of_each(values), f"This {kind.name}")
    if broken is not None:
        raise WorkflowFileError(f"The workflow in this {kind.name} is broken: {broken}. Save it again.")
    text = "No workflow was saved with this %s. Some sites remove it: take the original file, or the workflow's JSON."
    raise NoWorkflow(text % kind.name)


def _first_of_each(values: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values:
        found.setdefault(name, value)
    return found
