"""Files of comfy-cli (deps.json), comfy-pack (snapshot.json) and ComfyDeploy (a machine's steps)."""

from __future__ import annotations

from typing import Any, Mapping

from app.protocol.left_out import LeftOutEntries
from app.protocol.manifest import ManifestFault
from app.protocol.other_files.sections import Sections, list_in, mapping_in, remark_python, text_of

_STEPS = ("docker_command_steps", "dependencies")
_UNKNOWN = "comfy-cli knew no node pack that has it. Give the workflow itself to Nodeferry, or add the pack's address."
_COMMAND = "It is a command, and commands of files are never run. Run it on the machine yourself, if a pack needs it."


def is_deps(raw: Mapping[str, Any]) -> bool:
    """Whether it is comfy-cli's deps.json."""
    packs = raw.get("custom_nodes")
    states = list(packs.values()) if isinstance(packs, Mapping) else []
    return isinstance(packs, Mapping) and (
        "unknown_nodes" in raw or any(isinstance(each, Mapping) and "state" in each for each in states)
    )


def read_deps(raw: Mapping[str, Any], where: str, out: LeftOutEntries) -> Sections:
    """The packs that a workflow needs, by comfy-cli; most without a commit. Raises ManifestFault."""
    found = Sections("comfy-cli", out)
    for url, entry in mapping_in(raw, "custom_nodes", where).items():
        values = entry if isinstance(entry, Mapping) else {}
        commit = text_of(values.get("hash"))
        found.add_pack(url, "" if commit == "-" else commit, disabled=values.get("state") == "disabled")
    for name in list_in(raw, "unknown_nodes", where):
        out.add(name, _UNKNOWN)
    return found


def is_comfy_pack(raw: Mapping[str, Any]) -> bool:
    """Whether it is comfy-pack's snapshot.json: its packs are a list with commits."""
    packs = raw.get("custom_nodes")
    return isinstance(packs, list) and any(
        isinstance(each, Mapping) and ("commit_hash" in each or ("url" in each and "files" not in each))
        for each in packs
    )


def read_comfy_pack(raw: Mapping[str, Any], where: str, out: LeftOutEntries) -> Sections:
    """Its packs and models; its Python packages are in another file. Raises ManifestFault."""
    found = Sections("comfy-pack", out)
    for entry in list_in(raw, "custom_nodes", where, dict):
        off = entry.get("disabled") is True
        found.add_pack(entry.get("url"), entry.get("commit_hash") or entry.get("hash"), disabled=off)
    for entry in list_in(raw, "models", where, dict):
        source = entry.get("source")
        values: Mapping[str, Any] = source if isinstance(source, Mapping) else {}
        if entry.get("disabled") is not True:
            found.add_model(
                values.get("download_url") or values.get("url"), entry.get("filename"), sha256=entry.get("sha256")
            )
    found.comfyui = raw.get("comfyui")
    remark_python(found, raw.get("python"))
    out.remark("The Python packages of a .cpack.zip are in its requirements.txt, which was not read.")
    return found


def is_machine(raw: Mapping[str, Any]) -> bool:
    """Whether it is a machine of ComfyDeploy."""
    return _steps_in(raw) is not None


def read_machine(raw: Mapping[str, Any], where: str, out: LeftOutEntries) -> Sections:
    """The packs of a machine's steps. Raises ManifestFault."""
    found = Sections("ComfyDeploy", out)
    inner = _steps_in(raw) or raw
    for index, step in enumerate(list_in(inner, "steps", where, dict)):
        data, kind = step.get("data"), text_of(step.get("type"))
        if kind == "commands":
            out.add("Step %d: %s" % (index + 1, text_of(data)), _COMMAND)
            continue
        if not isinstance(data, Mapping):
            raise ManifestFault("%s.steps[%d].data" % (where, index), "The data of this step is not an object.")
        found.add_pack(data.get("url") or data.get("repository"), data.get("hash") or data.get("commit"))
        found.pips += [text_of(each) for each in data.get("pip") or () if isinstance(data.get("pip"), list)]
    found.comfyui = raw.get("comfyui") or raw.get("comfyui_version")
    return found


def _steps_in(raw: Mapping[str, Any]) -> Any:
    """The object that has the steps; None for what has none."""
    for inner in (raw, *(raw.get(name) for name in _STEPS)):
        steps = inner.get("steps") if isinstance(inner, Mapping) else None
        if isinstance(steps, list) and any(isinstance(each, Mapping) and "data" in each for each in steps):
            return inner
    return None
