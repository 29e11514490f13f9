"""A file as the graphs in it: `read_file`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from app.workflowfile.containers.heif import is_heif, read_heif
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
from app.workflowfile.containers.svg import is_svg, read_svg
from app.workflowfile.containers.vorbis import read_flac, read_ogg
from app.workflowfile.errors import NoWorkflow, TooMuch, UnknownFile, WorkflowFileError
from app.workflowfile.forms import Graphs, graphs_of
from app.workflowfile.json_text import BadText, Budget, load_text
from app.workflowfile.limits import MAX_FILE_BYTES, MAX_TEXTS
from app.workflowfile.strangers import words_for

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
    Kind("AVIF or HEIF picture", is_heif, read_heif),
    Kind("MP4 video", is_mp4, read_mp4),
    Kind("WebM or Matroska video", lambda head: head.startswith(MATROSKA), read_matroska),
    Kind("FLAC sound", lambda head: head.startswith(b"fLaC"), read_flac),
    Kind("Ogg sound", lambda head: head.startswith(b"OggS"), read_ogg),
    Kind("MP3 sound", lambda head: head.startswith(b"ID3"), read_id3),
    Kind("GLB model", lambda head: head.startswith(b"glTF"), read_glb),
    Kind("safetensors file", is_safetensors, read_safetensors),
    Kind("SVG picture", is_svg, read_svg),
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
        raise UnknownFile(words_for(head))
    try:
        value = load_text(source.read_exactly(source.size))
    except BadText as exc:
        raise WorkflowFileError(f"The JSON of this workflow is broken: {exc}. Export it again.") from None
    return WorkflowFile(_JSON, graphs_of({"": value}, "This JSON"))


def _may_be_json(head: bytes) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \r\n\t")
    return text[:1] in (b"{", b"[")


def _embedded(kind: Kind, source: Source) -> Graphs:
    """The graphs in a picture, a video, a sound or a model: in the first text of each name that is JSON."""
    values: dict[str, Any] = {}
    budget = Budget()
    broken: BadText | None = None
    has_settings = False
    for number, (raw_name, raw) in enumerate(kind.read(source)):
        name = raw_name.lower()
        if number >= MAX_TEXTS:
            break
        if name in values or raw.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \r\n\t")[:1] not in (b"{", b"[", b'"'):
            has_settings = has_settings or b"Steps: " in raw
            continue
        try:
            values[name] = load_text(raw, budget)
        except BadText as exc:
            broken = exc
    if values:
        return graphs_of(values, f"This {kind.name}", budget)
    if broken is not None:
        raise WorkflowFileError(f"The workflow in this {kind.name} is broken: {broken}. Save it again.")
    raise NoWorkflow(_why_none(kind.name, source.was_cut, has_settings))


def _why_none(kind: str, was_cut: bool, has_settings: bool) -> str:
    """What to say of a sound file without a graph."""
    if was_cut:
        return f"This {kind} ends too early, and what is there has no workflow. Download it again, in one piece."
    if has_settings:
        return (
            f"This {kind} has settings as a text, as Automatic1111, Forge and Civitai write them, but no workflow of "
            "ComfyUI. Ask its author for the workflow's JSON, or rebuild it from the settings."
        )
    return (
        f"No workflow was saved with this {kind}. Sites, messengers, screenshots and conversions remove it: "
        "take the original file from ComfyUI's output folder, or ask for the workflow's JSON."
    )
