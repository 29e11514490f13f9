"""What a file is that was given in place of a list of node packs: people have many that look alike."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.protocol.other_files.desktop import ENVELOPE
from app.protocol.pasted_text import is_address

_WORKFLOW_HINT = "Give it with --workflow: Nodeferry finds the node packs that it needs."
_FILE_HINT = "Give it with --file."
_SIGNATURES = (
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"RIFF", "a picture or a video"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\x1f\x8b", "a compressed file"),
    (b"%PDF", "a PDF"),
)
_TEXTS = (
    (re.compile(r"\s*(?:<!doctype html|<html|<\?xml)", re.IGNORECASE), "a web page", "Download the file itself (Raw)."),
    (re.compile(r"\s*-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key", "A key belongs into the SSH command: -i."),
    (re.compile(r"\s*(?:ssh-|ecdsa-)\S+ AAAA"), "a public key", "A key belongs into the SSH command: -i."),
    (re.compile(r"\s*(?:import|from) \w+|\s*#!"), "a script", "A list of node packs is a CSV or JSON."),
)
_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+(?:\[[\w,-]+\])?\s*(?:[=<>~!]=?|\Z|;|@)")
_OTHER_TOOLS = re.compile(
    r"^(?:schema:\s*[\"']?comfy-build/|(?:git_repos|apt_packages|pip_packages|conditional_downloads|customNodes):"
    r"|[ \t]*(?:declare -a )?\w*(?:NODES|MODELS)\w*\+?=\()",
    re.MULTILINE,
)
_CSV_HEADER = re.compile(r"\s*(?:sep=.\s+)?\"?name\"?\s*[,;\t]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is, in words that follow “is”, and what to do with it."""

    name: str
    hint: str


_OBJECTS: tuple[tuple[Callable[[Mapping[str, Any]], bool], Kind], ...] = (
    (
        lambda found: "git_custom_nodes" in found or "cnr_custom_nodes" in found,
        Kind("a snapshot of ComfyUI-Manager", "Give it with --snapshot."),
    ),
    (
        lambda found: "node_packs" in found or ("lock" in found and "success" in found),
        Kind("the lock of an earlier install", "Give it with --lock."),
    ),
    (
        lambda found: isinstance(found.get("custom_nodes"), list),
        Kind("ComfyUI-Manager's catalogue", "Choose from it: give the address of each pack with --url."),
    ),
    (
        lambda found: "task_id" in found and "state" in found,
        Kind("the progress of an install", "To repeat that one: tasks retry TASK_ID."),
    ),
)


def kind_of_bytes(raw: bytes) -> Kind | None:
    """Of a file that is no text."""
    for signature, name in _SIGNATURES:
        if raw.startswith(signature):
            return Kind(name, "A list of node packs is text: a CSV or JSON.")
    return None


def kind_of_text(text: str) -> Kind | None:
    """Of a file that is text, but not JSON."""
    if _OTHER_TOOLS.search(text):
        return Kind("a file of another tool", _FILE_HINT)
    for pattern, name, hint in _TEXTS:
        if pattern.match(text):
            return Kind(name, hint)
    if _CSV_HEADER.match(text):
        return Kind("a CSV", "Give it with --csv.")
    if "git_custom_nodes" in text or "cnr_custom_nodes" in text:
        return Kind("a snapshot of ComfyUI-Manager", "Give it with --snapshot.")
    if are_addresses(text):
        return Kind("a list of addresses", "Give it with --csv, or each address with --url.")
    if _has_requirements(text):
        return Kind("a list of Python packages", "A list of node packs has the addresses of their repositories.")
    return None


def are_addresses(text: str) -> bool:
    """Whether each line is the address of a repository, comments apart."""
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return bool(lines) and all(is_address(line) for line in lines)


def kind_of_json(found: Any) -> Kind | None:
    """Of a value that JSON holds; None for what may be a list of node packs or a manifest, and for the unknown."""
    if not isinstance(found, dict):
        return None
    return _workflow(found) or next((kind for is_it, kind in _OBJECTS if is_it(found)), None)


def _workflow(found: Mapping[str, Any]) -> Kind | None:
    nodes, prompt, packs = found.get("nodes"), found.get("prompt", found), found.get("custom_nodes")
    if isinstance(nodes, list) and ("links" in found or "last_node_id" in found):
        return Kind("a workflow of ComfyUI", _WORKFLOW_HINT)
    if isinstance(prompt, dict) and any("class_type" in each for each in prompt.values() if isinstance(each, dict)):
        return Kind("a workflow of ComfyUI in the format of its API", _WORKFLOW_HINT)
    if isinstance(packs, dict) and "unknown_nodes" in found:
        return Kind("a list of dependencies of comfy-cli", _FILE_HINT)
    if "customNodes" in found or found.get("type") == ENVELOPE or "definition" in found or "steps" in found:
        return Kind("a file of another tool", _FILE_HINT)
    return None


def _has_requirements(text: str) -> bool:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "-"))]
    return bool(lines) and all(
        re.match(r"[A-Za-z0-9._-]+(?:\[[\w,-]+\])?\s*(?:[=<>~!]=?|\Z|;|@)", line) for line in lines
    )


def json_of(text: str) -> Any:
    """The value of a text that looks like JSON; None for another."""
    try:
        return json.loads(text) if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")) else None
    except (ValueError, RecursionError):
        return None
