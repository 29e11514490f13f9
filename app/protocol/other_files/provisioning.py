"""vast.ai's `provisioning.yaml`. Only its node packs are had; all else of it is told."""

from __future__ import annotations

import re
from typing import Any, List, Mapping, Optional

from app.protocol.left_out import LeftOutEntries, readable
from app.protocol.manifest import ManifestFault, is_path
from app.protocol.other_files.sections import Sections, list_in, mapping_in, text_of
from app.protocol.other_files.variables import expanded

_SIGNS = frozenset(
    {
        "git_repos",
        "downloads",
        "pip_packages",
        "apt_packages",
        "conda_packages",
        "conditional_downloads",
        "extensions",
        "env_merge",
        "write_files",
        "write_files_late",
        "post_commands",
        "services",
    }
)
_SILENT = frozenset({"version", "settings", "auth", "on_failure"})
_FOLDER = re.compile(r"/custom_nodes/([^/]+)/?$")
_USUAL_COMMAND = re.compile(
    r"^(?:\[[^]]*\]\s*&&\s*|if [^;]*;\s*then\s+)?(?:uv |python3? -m |\S*/)?pip3? install .*-r \S+|install\.py"
)
_UNKNOWN_VALUE = (
    "It has a variable whose value only the machine knows. Write the value out, or add the address to the list."
)
_ELSEWHERE = "It is cloned to %s, which is no folder below custom_nodes. Clone it yourself, if a node pack needs it."
APT = "System packages are not installed from files. Run apt-get install, or use the option system_packages."
_COMMANDS = "Commands of files are never run. Run them on the machine yourself, if a node pack needs them."
_NOT_DONE: Mapping[str, str] = {
    "apt_packages": APT,
    "conda_packages": "Conda's packages are not installed. What the node packs need is installed with them.",
    "services": "Services are not set up. Do that with your provider's own provisioning.",
    "write_files": "Files are not written. Copy them to the machine yourself.",
    "write_files_late": "Files are not written. Copy them to the machine yourself.",
    "post_commands": _COMMANDS,
}


def is_provisioning(raw: Mapping[str, Any]) -> bool:
    """Whether it is such a file, by what it has."""
    return bool(_SIGNS & set(raw)) and "definition" not in raw


def read_provisioning(raw: Mapping[str, Any], where: str, out: LeftOutEntries) -> Sections:
    """Its packs, packages and models. Raises ManifestFault."""
    found = Sections("vast.ai", out)
    if text_of(raw.get("version")) not in ("", "1"):
        raise ManifestFault("%s.version" % where, "The version is %s; 1 is known." % readable(raw.get("version")))
    for entry in list_in(raw, "git_repos", where, dict):
        _read_repository(found, entry)
    _read_pips(found, raw, where)
    for entry in list_in(raw, "downloads", where, dict):
        _read_download(found, entry)
    for index, branch in enumerate(list_in(raw, "conditional_downloads", where, dict)):
        at = "%s.conditional_downloads[%d]" % (where, index)
        for entry in [*list_in(branch, "downloads", at, dict), *list_in(branch, "else_downloads", at, dict)]:
            _read_download(found, entry)
        out.remark(
            "Which downloads hold depends on %s; all are named." % (readable(branch.get("when")) or "the machine")
        )
    _tell_the_rest(found, raw, where)
    return found


def _read_repository(found: Sections, entry: Mapping[str, Any]) -> None:
    url, dest, ref = (expanded(text_of(entry.get(key))) for key in ("url", "dest", "ref"))
    if not url or dest is None:
        found.out.add(text_of(entry.get("url")) or entry.get("dest"), _UNKNOWN_VALUE)
        return
    folder = folder_of(dest)
    if folder is None:
        found.out.add(url, _ELSEWHERE % (readable(dest)[:80] or "a folder that is not named"))
        return
    if ref is None:
        found.out.remark("%s is installed at its newest version: its ref has a variable." % readable(url))
    found.add_pack(url, ref or "", folder)
    commands = [each for each in _texts(entry.get("post_commands")) if not _USUAL_COMMAND.search(each)]
    found.leave_out_all("After %s" % readable(url), commands, _COMMANDS)


def folder_of(dest: str) -> Optional[str]:
    """The folder of a node pack in a path like `/workspace/ComfyUI/custom_nodes/mine`; None for what is none."""
    folder = _FOLDER.search(dest.strip())
    return folder.group(1) if folder and ".." not in dest.split("/") and is_path(folder.group(1)) else None


def _read_pips(found: Sections, raw: Mapping[str, Any], where: str) -> None:
    blocks = raw.get("pip_packages")
    if isinstance(blocks, Mapping):
        blocks = [blocks]
    for block in list_in({"pip_packages": blocks}, "pip_packages", where):
        if isinstance(block, str):
            found.pips.append(block)
            continue
        if not isinstance(block, Mapping):
            raise ManifestFault("%s.pip_packages" % where, "An entry of pip_packages is neither an object nor a text.")
        venv = expanded(text_of(block.get("venv")))
        if venv not in ("", "/venv/main", None):
            why = "They go into another environment (%s). Install them there yourself." % readable(venv)[:80]
            found.leave_out_all("Python packages", _texts(block.get("packages")), why)
            continue
        found.pips += _texts(block.get("packages"))
        found.leave_out_all(
            "Requirements",
            _texts(block.get("requirements")),
            "They are files of the machine. Each node pack's own are installed with it.",
        )
        if text_of(block.get("args")):
            found.out.remark("The arguments for pip were not used: %s." % readable(block.get("args"))[:150])


def _read_download(found: Sections, entry: Mapping[str, Any]) -> None:
    url, dest = (expanded(text_of(entry.get(key))) for key in ("url", "dest"))
    if url is None or dest is None:
        found.out.add(text_of(entry.get("url")), _UNKNOWN_VALUE)
    elif dest and "/models/" not in dest and not dest.endswith("/models"):
        found.out.add(url, "It is a file for %s, and no model. Fetch it yourself." % readable(dest)[:100])
    else:
        found.add_model(url, dest)


def _tell_the_rest(found: Sections, raw: Mapping[str, Any], where: str) -> None:
    for name, why in _NOT_DONE.items():
        entries = list_in(raw, name, where)
        names = [each.get("path") or each.get("name") if isinstance(each, Mapping) else each for each in entries]
        packages = [text for block in entries if isinstance(block, Mapping) for text in _texts(block.get("packages"))]
        found.leave_out_all(name, packages or names, why)
    for entry in list_in(raw, "extensions", where):
        if not isinstance(entry, Mapping) or entry.get("enabled") is False:
            continue
        workflows = _texts(mapping_in(entry, "config", "%s.extensions" % where).get("workflows"))
        why = "It finds node packs when the machine starts. Download the workflow, and give it to Nodeferry itself."
        found.leave_out_all("Workflows", workflows, why)
    variables = sorted(mapping_in(raw, "env_merge", where))
    if variables:
        found.out.remark(
            "More downloads may come from variables of the machine: %s." % ", ".join(map(readable, variables))
        )
    unknown = sorted(readable(name)[:40] for name in raw if name not in _SIGNS | _SILENT)
    if unknown:
        found.out.remark(
            "vast.ai does not know these either, and nothing of them was read: %s." % ", ".join(unknown[:5])
        )


def _texts(value: Any) -> List[str]:
    values = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    return [text_of(each) for each in values if text_of(each)]
