"""Modules that are part of another node pack, and come with no package: which pack that is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Mapping, Optional, Tuple

from app.protocol.snapshot import Problem

_MISSING = re.compile(r"No module named '?(?P<name>[A-Za-z_][\w.]*)'?")
_GITHUB = "https://github.com/%s"
_KNOWN: Mapping[str, str] = {
    "impact": "ltdrdata/ComfyUI-Impact-Pack",
    "impact.subpack_nodes": "ltdrdata/ComfyUI-Impact-Subpack",
    "impact.subcore": "ltdrdata/ComfyUI-Impact-Subpack",
    "inspire": "ltdrdata/ComfyUI-Inspire-Pack",
    "animatediff": "Kosinkadink/ComfyUI-AnimateDiff-Evolved",
    "adv_control": "Kosinkadink/ComfyUI-Advanced-ControlNet",
    "videohelpersuite": "Kosinkadink/ComfyUI-VideoHelperSuite",
    "controlnet_aux": "Fannovel16/comfyui_controlnet_aux",
    "custom_controlnet_aux": "Fannovel16/comfyui_controlnet_aux",
    "efficiency_nodes": "jags111/efficiency-nodes-comfyui",
    "rgthree": "rgthree/rgthree-comfy",
    "comfyui_gguf": "city96/ComfyUI-GGUF",
    "cg_use_everywhere": "chrisgoringe/cg-use-everywhere",
    "ipadapter_plus": "cubiq/ComfyUI_IPAdapter_plus",
    "was_node_suite": "WASasquatch/was-node-suite-comfyui",
    "layerstyle": "chflame163/ComfyUI_LayerStyle",
    "brushnet": "nullquant/ComfyUI-BrushNet",
}
"""The longest name that a module begins with counts."""
_DEPTH = 3
_MOST_FOLDERS = 4000


def of_missing_module(text: str, custom_nodes: Path, own: str) -> Optional[Problem]:
    """The problem where the module that a traceback (`text`) misses is another pack's: one that is there, by its files,
    else one that is known. `own`: the folder of the pack that misses it. None otherwise."""
    found = list(_MISSING.finditer(text))
    name = found[-1].group("name") if found else ""
    if not name:
        return None
    imported = re.findall(r"(?:from|import) +(%s(?:\.\w+)*)" % re.escape(name), text[: found[-1].start()])
    name = imported[-1] if imported else name  # of `impact.subpack_nodes` Python misses `impact` first
    known = _known(name)
    folder = _by_name(name, custom_nodes) or _with_module(name, custom_nodes, own)
    if folder == own:
        return None
    text = "The Python module %s is part of another pack, %s, which %s."
    if folder:
        hint = "Look at whether %s loads, and update both packs: they may not fit together. " % folder
        hint += "If that is another module of the same name, install the package that has it."
        return Problem("module_of_other_pack", text % (name, folder, "is there and does not bring it"), hint)
    if known:
        hint = "Add %s to the list of packs." % (_GITHUB % known)
        return Problem("module_of_other_pack", text % (name, known.partition("/")[2], "is not installed"), hint)
    if name.startswith("custom_nodes."):
        pack = name.split(".")[1]
        hint = "Add the pack whose folder is called %s to the list of packs." % pack
        return Problem("module_of_other_pack", text % (name, pack, "is not installed"), hint)
    return None


def _by_name(name: str, custom_nodes: Path) -> str:
    """`custom_nodes.FOLDER.x`: the folder, where it is there."""
    parts = name.split(".")
    return parts[1] if parts[0] == "custom_nodes" and len(parts) > 1 and (custom_nodes / parts[1]).is_dir() else ""


def _known(name: str) -> str:
    parts = name.split(".")
    ways = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((_KNOWN[way] for way in ways if way in _KNOWN), "")


def _with_module(name: str, custom_nodes: Path, own: str) -> str:
    """The pack in whose folder the module lies, at most three folders deep; empty for none. Only modules of a package
    count: `utils` is in every other pack."""
    parts = name.split(".")
    if len(parts) < 2:
        return ""
    first, looked = parts[0], 0
    rest = os.path.join(*parts[1:])
    for pack in _folders(custom_nodes):
        if pack[0] == own:
            continue
        for folder, folders, _ in os.walk(pack[1]):
            looked += 1
            folders[:] = (
                []
                if folder.count(os.sep) - pack[1].count(os.sep) >= _DEPTH
                else [each for each in folders if not each.startswith(".") and each != "__pycache__"]
            )
            place = os.path.join(folder, first, rest)
            if os.path.isfile(place + ".py") or os.path.isdir(place):
                return pack[0]
            if looked > _MOST_FOLDERS:
                return ""
    return ""


def _folders(custom_nodes: Path) -> Tuple[Tuple[str, str], ...]:
    try:
        with os.scandir(str(custom_nodes)) as entries:
            found = sorted((entry.name, entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return ()
    return tuple(pair for pair in found if not pair[0].startswith(".") and not pair[0].endswith(".disabled"))
