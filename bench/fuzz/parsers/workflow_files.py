"""Workflow files: every container that ComfyUI and its packs put a graph into."""

from __future__ import annotations

import io
from pathlib import Path

from app.workflowfile.errors import WorkflowFileError
from app.workflowfile.graph import read_workflow
from app.workflowfile.limits import MAX_NAME
from app.workflowfile.models import models_of
from app.workflowfile.read_file import read_file
from bench.fuzz.judge import Parser

_SAMPLES = Path(__file__).parents[3] / "test/workflowfile/samples"


def check_workflow_file(data: bytes) -> str | None:
    """Names that can be shown, paths that stay in their folder, addresses of the web."""
    try:
        workflow = read_workflow(read_file(io.BytesIO(data)).graphs)
    except WorkflowFileError as exc:
        return None if str(exc).isprintable() else f"{exc!s} is not clean"
    names = [
        text for node in workflow.nodes for text in (node.class_name, node.cnr_id, node.aux_id, node.ver, node.title)
    ]
    bad = [text for text in names if text is not None and not (text.isprintable() and 0 < len(text) <= MAX_NAME)]
    models = models_of(workflow)
    bad += [path for model in models for path in (model.name, model.folder) if path is not None and _leaves(path)]
    bad += [
        model.url for model in models if model.url is not None and not model.url.startswith(("http://", "https://"))
    ]
    return f"{bad[0]!r} is not clean" if bad else None


def _leaves(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/") or not path.isprintable()


_WORDS = (
    b"workflow", b"prompt", b"comment", b"workflow:{", b"tEXt", b"iTXt", b"zTXt", b"comf", b"IEND", b"EXIF",
    b"Exif\0\0",
    b"II*\0", b"MM\0*", b"moov", b"udta", b"meta", b"keys", b"ilst", b"data", b"mdta", b"\xa9cmt", b"----", b"hdlr",
    b"\x18\x53\x80\x67", b"\x12\x54\xc3\x67", b"\x73\x73", b"\x67\xc8", b"\x45\xa3", b"\x44\x87", b"\x1f\x43\xb6\x75",
    b"\x01\xff\xff\xff\xff\xff\xff\xff", b"OpusTags", b"OggS", b"TXXX", b"fLaC", b"__metadata__", b'"nodes":[', b"NaN",
    b'"type":', b'"class_type":', b'"mode":4', b'"definitions":', b'"subgraphs":[', b'"models":[', b"\\u0000", b"../",
    b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x01", b"avif", b"iinf", b"iloc", b"infe", b"eXIf", b"<svg",
    b"<metadata>", b"<![CDATA[", b"]]>", b'"components":', b"## a [000000]",
)  # fmt: skip

PARSERS = (
    Parser(
        "workflow_file",
        check_workflow_file,
        _WORDS,
        more=lambda: [path.read_bytes() for path in sorted(_SAMPLES.iterdir()) if path.suffix != ".md"],
    ),
)
