"""comfy-cli's `comfy-build.yaml`: read, and written from a lock, by the rules of comfy-cli's `build_validation`."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

from app.protocol.left_out import LeftOutEntries, readable
from app.protocol.manifest import ManifestFault
from app.protocol.other_files.sections import Sections, list_in, mapping_in, remark_python, text_of

SCHEMA = "comfy-build/1"
DEFINITION = "distribution-definition/0"
_MOST_PIP_CHARS = 64 * 1024
_MOST_PACKS = 512
_COMMIT = re.compile(r"[0-9a-fA-F]{40}")
_TORCH = re.compile(r"(?:torch|torchvision|torchaudio|triton|nvidia-.*|xformers)", re.IGNORECASE)
_UPLOADED = (
    "It was uploaded to ComfyUI's builder from the machine that the file was made on. Add its repository's address."
)
_LOCAL = "It is a folder of the machine that the file was made on. Copy it into custom_nodes yourself."


def is_build(raw: Mapping[str, Any]) -> bool:
    """Whether it is such a file, by what it has."""
    return text_of(raw.get("schema")).startswith("comfy-build/") or (
        isinstance(raw.get("definition"), Mapping) and "customNodes" in raw["definition"]
    )


def read_build(raw: Mapping[str, Any], where: str, out: LeftOutEntries) -> Sections:
    """The file's packs, packages and models. Raises ManifestFault."""
    found = Sections("comfy-cli", out)
    schema = text_of(raw.get("schema"))
    if schema and schema != SCHEMA:
        raise ManifestFault("%s.schema" % where, "The schema is %s; %s is known." % (readable(schema)[:60], SCHEMA))
    definition, at = mapping_in(raw, "definition", where), "%s.definition" % where
    for entry in list_in(definition, "customNodes", at, dict):
        _read_node(found, entry)
    for entry in list_in(definition, "models", at, dict):
        _read_model(found, entry)
    pips = definition.get("pipDependencies") or ""
    if not isinstance(pips, str):
        raise ManifestFault("%s.pipDependencies" % at, "pipDependencies is not a text.")
    found.pips = pips.splitlines()
    base = text_of(definition.get("baseComfyVersion"))
    found.comfyui = base.lower() if _COMMIT.fullmatch(base) else None
    environment = mapping_in(definition, "environment", at)
    remark_python(found, environment.get("pythonVersion"), environment.get("torch"), base)
    if text_of(definition.get("baseImage")):
        out.remark("Its image is not used: Nodeferry installs into the ComfyUI that is there.")
    return found


def _read_node(found: Sections, entry: Mapping[str, Any]) -> None:
    """In the order that comfy-cli has: what was uploaded, the registry's version, the repository."""
    name = text_of(entry.get("name")) or text_of(entry.get("id"))
    repository = entry.get("repository")
    if text_of(entry.get("registryVersion")):
        found.add_registry_pack(entry.get("id") or name, entry.get("registryVersion"), repository)
    elif text_of(repository):
        found.add_pack(repository, entry.get("gitRef") or entry.get("commit"), name)
    elif text_of(entry.get("blobId")):
        found.out.add(name, _UPLOADED)
    elif entry.get("source") == "local" or text_of(entry.get("localPath")):
        found.out.add(name, _LOCAL)
    elif text_of(entry.get("id")):
        found.add_registry_pack(entry.get("id"))
    else:
        found.out.add(name, "The file does not say where it comes from. Add its repository's address to the list.")


def _read_model(found: Sections, entry: Mapping[str, Any]) -> None:
    if text_of(entry.get("sourceUri")) or text_of(entry.get("filename")):
        found.add_model(
            entry.get("sourceUri"), name=entry.get("filename"), folder=entry.get("type"), sha256=entry.get("sha256")
        )


def write_build(lock: Mapping[str, Any], name: str) -> Tuple[str, List[str]]:
    """A lock's JSON as the text of a comfy-build.yaml, and what such a file cannot hold, a sentence each."""
    told: List[str] = []
    packs = [_written_pack(pack) for pack in lock["node_packs"] if not pack.get("disabled")]
    disabled = [pack["name"] for pack in lock["node_packs"] if pack.get("disabled")]
    if disabled:
        told.append("Disabled node packs are not in it: %s." % ", ".join(disabled))
    if len(packs) > _MOST_PACKS:
        told.append(
            "comfy-build.yaml may have %d node packs; the last %d are not in it."
            % (_MOST_PACKS, len(packs) - _MOST_PACKS)
        )
    packs = sorted(packs[:_MOST_PACKS], key=lambda pack: (pack["name"], pack.get("id", ""), pack.get("repository", "")))
    torch = (lock.get("torch") or {}).get("version")
    definition: Dict[str, Any] = {
        "schema": DEFINITION,
        "baseComfyVersion": lock.get("comfyui_commit"),
        "models": [],
        "customNodes": packs,
        "pipDependencies": _written_pips(lock, told),
        "environment": {
            "os": "linux",
            "arch": lock.get("machine"),
            "pythonVersion": lock.get("python"),
            "torch": torch,
        },
    }
    top = {"schema": SCHEMA, "id": None, "name": name, "description": "", "syncedRevision": None}
    return _as_yaml({**top, "definition": definition}), told


def _written_pack(pack: Mapping[str, Any]) -> Dict[str, Any]:
    folder = pack.get("folder") or pack["name"]
    if pack.get("registry_id") and not pack.get("commit"):
        return {"name": folder, "id": pack["registry_id"], "registryVersion": pack.get("version")}
    return {"name": folder, "repository": pack["repo_url"], "gitRef": pack["commit"]}


def _written_pips(lock: Mapping[str, Any], told: List[str]) -> str:
    """The packages as lines of requirements, without the torch family: the builder brings its own for its machines."""
    sources = lock.get("sources") or {}
    only_there = {each.get("name") for each in lock.get("only_there") or ()}
    lines = []
    size = 0
    for name, version in sorted({**dict.fromkeys(sources, ""), **(lock.get("packages") or {})}.items()):
        if _TORCH.fullmatch(name):
            continue
        if name in only_there:
            told.append("%s is not in it: no other machine can fetch it." % name)
            continue
        line = "%s @ %s" % (name, sources[name]) if name in sources else "%s==%s" % (name, version)
        size += len(line) + 1
        if size > _MOST_PIP_CHARS:
            told.append(
                "Its Python packages may have %d characters; those after %s are not in it." % (_MOST_PIP_CHARS, name)
            )
            break
        lines.append(line)
    return "".join(line + "\n" for line in lines)


def _as_yaml(document: Mapping[str, Any]) -> str:
    """As YAML with every text in double quotes, so that no version or commit becomes a number; comfy-cli's own writer
    is not needed for that."""
    return "".join(_lines(document, 0))


def _lines(value: Mapping[str, Any], depth: int) -> List[str]:
    found = []
    indent = "  " * depth
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            found += ["%s%s:\n" % (indent, key), *_lines(inner, depth + 1)]
        elif isinstance(inner, list) and inner:
            found.append("%s%s:\n" % (indent, key))
            for each in inner:
                first, *rest = _lines(each, depth + 2)
                found += ["%s  - %s" % (indent, first.lstrip()), *rest]
        elif isinstance(inner, str) and "\n" in inner:
            found.append("%s%s: |\n" % (indent, key))
            found += ["%s  %s\n" % (indent, line) for line in inner.splitlines()]
        else:
            found.append("%s%s: %s\n" % (indent, key, _scalar(inner)))
    return found


def _scalar(value: Optional[Any]) -> str:
    return "[]" if value == [] else json.dumps(value, ensure_ascii=True)
