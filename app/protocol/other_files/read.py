"""Any tool's file as a manifest: which one it is, is told by its content, never by its name.

Where every pack has a commit (or a version of ComfyUI's registry), it becomes a lock; else a list of node packs. What
cannot be had is in the manifest's `left_out`, what is otherwise than it stands there in its `remarks`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Collection, Dict, List, Mapping, Optional, Tuple

from app.protocol.left_out import LeftOutEntries, readable
from app.protocol.lockfile import read_lock
from app.protocol.manager_snapshot import MAX_CHARS, lock_of, named, of_manager
from app.protocol.manifest import MAX_NODES, ManifestFault
from app.protocol.other_files.comfy_build import is_build, read_build
from app.protocol.other_files.desktop import is_desktop, read_desktop
from app.protocol.other_files.legacy_script import is_script, read_legacy
from app.protocol.other_files.listed import nodes_of
from app.protocol.other_files.own_script import lock_in
from app.protocol.other_files.provisioning import is_provisioning, read_provisioning
from app.protocol.other_files.sections import Sections, text_of
from app.protocol.other_files.small_tools import (
    is_comfy_pack,
    is_deps,
    is_machine,
    read_comfy_pack,
    read_deps,
    read_machine,
)
from app.protocol.registry_ref import NIGHTLY, read_registry_ref
from app.protocol.snapshot_packs import is_disabled
from app.protocol.snapshot_text import load
from app.protocol.yaml_text import line_of

_COMMIT = re.compile(r"[0-9a-fA-F]{40}")
_NOT_EXACT = (
    "The file does not say exactly which node packs it had, so that its packages may not fit them. What the node packs "
    "need is installed with them; install others with pip."
)
_Reader = Callable[[Mapping[str, Any], str, LeftOutEntries], Sections]
_KINDS: Tuple[Tuple[str, Callable[[Mapping[str, Any]], bool], _Reader], ...] = (
    ("desktop_snapshot", is_desktop, read_desktop),
    ("comfy_build", is_build, read_build),
    ("deps", is_deps, read_deps),
    ("comfy_pack", is_comfy_pack, read_comfy_pack),
    ("comfy_deploy", is_machine, read_machine),
    ("provisioning", is_provisioning, read_provisioning),
)
_KNOWN = (
    "snapshots of ComfyUI-Manager and of ComfyUI Desktop, comfy-build.yaml, comfy-lock.yaml, deps.json, comfy-pack's "
    "snapshot.json, vast.ai's provisioning.yaml and provisioning scripts"
)


@dataclass(frozen=True)
class OtherFile:
    """A file that was read. `kind`: whose it is; `manifest`: `{"lock": …}` or `{"nodes": …}`, None where it names
    models alone, and `problem` says so; `models`: {name, folder, url, sha256} each."""

    kind: str
    manifest: Optional[Dict[str, Any]]
    models: List[Dict[str, Any]] = field(default_factory=list)
    left_out: List[Dict[str, str]] = field(default_factory=list)
    remarks: List[str] = field(default_factory=list)
    problem: str = ""

    def to_install(self, where: str) -> Dict[str, Any]:
        """The manifest of an install. Raises ManifestFault where there is nothing to install."""
        if self.manifest is None:
            raise ManifestFault(where, ("%s %s" % (self.problem, named(self.left_out))).strip())
        return self.manifest


def read_snapshot(raw: Any, schemes: Collection[str], where: str = "manifest.manager_snapshot") -> Dict[str, Any]:
    """A file that says everything exactly, as the JSON of a lock. Raises ManifestFault."""
    lock = read_file(raw, schemes, where).to_install(where).get("lock")
    if not isinstance(lock, dict):
        raise ManifestFault(where, "The file does not name the commit of each node pack.")
    return lock


def read_file(raw: Any, schemes: Collection[str], where: str = "manifest.file") -> OtherFile:
    """The manifest of a file: an object, or the text of one in JSON, YAML or bash. `schemes`: what git may fetch by.
    Raises ManifestFault naming the field, and the line where it is known."""
    text = raw if isinstance(raw, str) else ""
    raw = lock_in(text) or raw
    try:
        return _read(raw, schemes, where)
    except ManifestFault as fault:
        inner = fault.field[len(where) :] if fault.field.startswith(where) else ""
        line = line_of(text, inner) if text and inner else None
        raise ManifestFault(fault.field, "Line %d: %s" % (line, fault.message) if line else fault.message) from None


def _read(raw: Any, schemes: Collection[str], where: str) -> OtherFile:
    out = LeftOutEntries()
    if isinstance(raw, str) and len(raw) > MAX_CHARS:
        raise ManifestFault(where, "The file is larger than %d characters. Is it the right one?" % MAX_CHARS)
    if isinstance(raw, str) and not raw.lstrip().startswith(("{", "[")) and is_script(raw):
        return _converted("script", read_legacy(raw, where, out), schemes, where)
    value = _value(raw, where, out)
    if isinstance(value.get("node_packs"), list):
        read_lock(value, schemes, where)
        return OtherFile("lock", {"lock": dict(value)}, [], list(value.get("left_out") or ()))
    for kind, is_it, read in _KINDS:
        if is_it(value):
            return _converted(kind, read(value, where, out), schemes, where)
    inner = of_manager(value)
    if inner is None:
        raise ManifestFault(where, "This is no file that Nodeferry reads: it knows %s." % _KNOWN)
    models = Sections("comfy-cli", out)
    _read_models(models, value)
    lock = lock_of(value, inner, schemes, where, out)
    kind = "comfy_lock" if "custom_nodes" in value else "manager_snapshot"
    return OtherFile(kind, {"lock": lock}, models.models, out.all(), out.remarks)


def _value(raw: Any, where: str, out: LeftOutEntries) -> Mapping[str, Any]:
    """The object in a file. Raises ManifestFault."""
    if isinstance(raw, str):
        try:
            raw, twice = load(raw)
        except (ValueError, RecursionError) as exc:
            said = "it is nested too deep" if isinstance(exc, RecursionError) else str(exc)
            raise ManifestFault(where, "The file cannot be read: %.300s." % readable(said)) from None
        for key in twice:
            out.add(key, "It is in the file twice, with different values; the later one was taken. Remove one of them.")
    if not isinstance(raw, Mapping):
        raise ManifestFault(where, "This is no file that Nodeferry reads: it knows %s." % _KNOWN)
    lock = raw.get("lock")
    return lock if isinstance(lock, Mapping) else raw


def _read_models(found: Sections, value: Mapping[str, Any]) -> None:
    """Those of comfy-lock.yaml."""
    models = value.get("models")
    for entry in models if isinstance(models, list) else []:
        if not isinstance(entry, Mapping):
            continue
        paths = [each.get("path") for each in entry.get("paths") or () if isinstance(each, Mapping)]
        digests = [each.get("hash") for each in entry.get("hashes") or () if isinstance(each, Mapping)]
        path = next((text_of(each) for each in paths if text_of(each)), text_of(entry.get("model")))
        sha256 = next((text_of(each) for each in digests if len(text_of(each)) == 64), "")
        named = text_of(entry.get("model"))
        if path or named or text_of(entry.get("url")):
            folder = "" if "/" in path else entry.get("type")
            found.add_model(entry.get("url"), path, name="" if path != named else named, folder=folder, sha256=sha256)


def _converted(kind: str, found: Sections, schemes: Collection[str], where: str) -> OtherFile:
    """A file's sections as a lock where they say everything exactly, else as a list."""
    if len(found.packs) + len(found.registry) > 5 * MAX_NODES:
        raise ManifestFault(where, "The file names more than %d node packs." % (5 * MAX_NODES))
    if found.models:
        text = "It names %d model files, which are listed and not fetched. Fetch those that you need yourself."
        found.out.remark(text % len(found.models))
    if _is_exact(found):
        manifest = {"lock": lock_of({}, _as_snapshot(found), schemes, where, found.out)}
        return OtherFile(kind, manifest, found.models, found.out.all(), found.out.remarks)
    return _listed(kind, found, schemes, where)


def _is_exact(found: Sections) -> bool:
    """Whether each pack that is to be loaded has its commit, or its version in ComfyUI's registry."""
    packs = [each for each in found.packs if not is_disabled(each)]
    registry = [each for each in found.registry if not is_disabled(each)]
    versions = [read_registry_ref("%s@%s" % (each["id"], each["version"])) for each in registry]
    are_exact = all(each is not None and each.version not in ("", NIGHTLY) for each in versions)
    return bool(found.packs or found.registry) and are_exact and all(_COMMIT.fullmatch(each["hash"]) for each in packs)


def _as_snapshot(found: Sections) -> Dict[str, Any]:
    return {
        "comfyui": found.comfyui,
        "git_custom_nodes": found.packs,
        "cnr_custom_nodes": [{**each, "url": ""} for each in found.registry],
        "file_custom_nodes": found.files,
        "pips": found.pips,
    }


def _listed(kind: str, found: Sections, schemes: Collection[str], where: str) -> OtherFile:
    """A list of node packs, with what it leaves out. Raises ManifestFault for a file that names nothing."""
    nodes = nodes_of(found, schemes)
    found.leave_out_all("Python packages", found.pips, _NOT_EXACT)
    left_out, remarks = found.out.all(), found.out.remarks
    if nodes:
        manifest = {"nodes": nodes, "left_out": left_out, "remarks": remarks}
        return OtherFile(kind, manifest, found.models, left_out, remarks)
    if not found.models:
        raise ManifestFault(where, ("The file names no node pack that can be installed. %s" % named(left_out)).strip())
    text = "The file names no node pack that can be installed. It names %d model files, which are not fetched."
    return OtherFile(kind, None, found.models, left_out, remarks, text % len(found.models))
