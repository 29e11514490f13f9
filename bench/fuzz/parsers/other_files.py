"""Files of other tools: snapshots of Desktop, comfy-build.yaml, provisioning.yaml, scripts and the like."""

from __future__ import annotations

import json
from typing import Any

from app.domain.errors import InvalidManifest
from app.domain.request import check_manifest, packs_of
from app.protocol.manifest import ManifestFault
from app.protocol.other_files.read import OtherFile, read_file
from app.protocol.snapshot_text import decoded
from bench.fuzz.judge import Parser

SCHEMES = ("https", "ssh")
_PATH = "scripts/custom_nodes.csv"


def check_other_file(data: bytes) -> str | None:
    """A manifest that can be installed and stored, models with relative names, and words; or an error that names the
    field."""
    raws: list[Any] = [decoded(data)]
    try:
        value = json.loads(data)
        raws += [value] if isinstance(value, dict) else []
    except (ValueError, RecursionError):
        pass
    for raw in raws:
        try:
            found = read_file(raw, SCHEMES)
        except ManifestFault as fault:
            if not (fault.message and fault.message.isprintable() and fault.field.isprintable()):
                return f"{fault.message!r:.300}, {fault.field!r:.100} are no words"
            continue
        wrong = _wrong(found)
        if wrong:
            return wrong
    return None


def _wrong(found: OtherFile) -> str | None:
    for model in found.models:
        name, folder = model["name"], model["folder"] or ""
        if (
            not f"{name}{folder}{model['url']}".isprintable()
            or ".." in f"{folder}/{name}".split("/")
            or name[0] in "/~"
        ):
            return f"{model!r:.300} is no model"
    for text in (*found.remarks, *(each[key] for each in found.left_out for key in ("name", "reason"))):
        if not text.isprintable():
            return f"{text!r:.300} is not clean"
    if found.manifest is None:
        return None
    try:
        again = check_manifest(json.loads(json.dumps(found.manifest)), SCHEMES, _PATH)
    except InvalidManifest as exc:
        return f"it is no manifest: {exc}"
    return None if packs_of(again, SCHEMES) else "it has no packs"


_WORDS = (
    b"NODES=(", b")", b'"', b"'", b"$(", b"`", b"${", b"}", b"#", b"\\\n", b"+=(", b"<<EOF\n", b"git clone ", b"cd ",
    b"https://github.com/o/p", b"git_repos:", b"dest: ", b"/custom_nodes/", b"../", b"customNodes", b"definition",
    b"comfy-build/1", b"comfyui-desktop-2-snapshot", b"type", b"cnr", b"steps", b"data", b"custom_nodes", b"&a ", b"*a",
    b"models/", b"${WORKSPACE:-/workspace}", b"\0", b"|", b"version: 1\n", b"downloads:", b"NODEFERRY_LOCK",
)  # fmt: skip

PARSERS = (Parser("other_file", check_other_file, _WORDS, as_json=True),)
