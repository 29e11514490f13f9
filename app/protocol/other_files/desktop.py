"""Snapshots of ComfyUI Desktop: the exported envelope (versions 1 and 2), the inner object alone as it lies in
`.launcher/snapshots`, and comfy-cli's, which has fewer fields."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from app.protocol.left_out import LeftOutEntries, readable
from app.protocol.manifest import ManifestFault
from app.protocol.other_files.sections import Sections, list_in, mapping_in, remark_python, text_of

ENVELOPE = "comfyui-desktop-2-snapshot"
_KNOWN_VERSIONS = ("1", "2")


def is_desktop(raw: Mapping[str, Any]) -> bool:
    """Whether it is such a snapshot, by what it has."""
    return raw.get("type") == ENVELOPE or (isinstance(raw.get("customNodes"), list) and "definition" not in raw)


def read_desktop(raw: Mapping[str, Any], where: str, out: LeftOutEntries) -> Sections:
    """The newest snapshot of a file. Raises ManifestFault."""
    found = Sections("ComfyUI Desktop", out)
    inner, at = raw, where
    if raw.get("type") == ENVELOPE:
        inner, at = _newest(raw, where, out)
    for index, entry in enumerate(list_in(inner, "customNodes", at, dict)):
        _read_node(found, entry, "%s.customNodes[%d]" % (at, index))
    comfyui = mapping_in(inner, "comfyui", at)
    found.comfyui = comfyui.get("commit")
    found.pips = ["%s==%s" % (name, text_of(version)) for name, version in mapping_in(inner, "pipPackages", at).items()]
    stack = inner.get("torchStack")
    packages: Mapping[str, Any] = stack if isinstance(stack, Mapping) else {}
    torch = packages.get("torch") or (inner.get("pipPackages") or {}).get("torch")
    remark_python(found, inner.get("pythonVersion"), torch, comfyui.get("releaseTag") or comfyui.get("baseTag"))
    return found


def _newest(raw: Mapping[str, Any], where: str, out: LeftOutEntries) -> Any:
    """The newest snapshot of an envelope, and its field. Raises ManifestFault."""
    version = text_of(raw.get("version"))
    if version not in _KNOWN_VERSIONS:
        text = "Its version is %s, and Nodeferry knows 1 and 2: check the list of node packs before you install."
        out.remark(text % (readable(version) or "not named"))
    snapshots = list_in(raw, "snapshots", where, dict)
    if not snapshots:
        raise ManifestFault("%s.snapshots" % where, "The file has no snapshot. Export it again.")
    best = max(range(len(snapshots)), key=lambda index: text_of(snapshots[index].get("createdAt")))
    if len(snapshots) > 1:
        made = readable(snapshots[best].get("createdAt")) or "the first"
        out.remark("The file has %d snapshots; the newest was taken (%s)." % (len(snapshots), made))
    return snapshots[best], "%s.snapshots[%d]" % (where, best)


def _read_node(found: Sections, entry: Dict[str, Any], at: str) -> None:
    kind, name = text_of(entry.get("type")), text_of(entry.get("id")) or text_of(entry.get("dirName"))
    off = entry.get("enabled") in (False, "false")
    if kind == "cnr":
        found.add_registry_pack(name, entry.get("version"), entry.get("url"), disabled=off)
    elif kind == "file":
        found.files.append({"filename": text_of(entry.get("dirName")) or name, "disabled": off})
    elif kind == "git" or entry.get("url"):
        if text_of(entry.get("url")):
            found.add_pack(entry.get("url"), entry.get("commit"), entry.get("dirName"), disabled=off)
        else:
            found.out.add(name, "The snapshot does not name its repository. Add its address to the list.")
    else:
        raise ManifestFault("%s.type" % at, "A node pack's type is %r; cnr, git and file are known." % kind)
