"""Classes that exist only in ComfyUI's pages: nothing on a machine has them, and nothing is missing without them."""

from __future__ import annotations

import re
from collections.abc import Mapping

CORE = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})
"""Drawn by ComfyUI's own pages."""
_COMPONENTS = "https://github.com/ltdrdata/ComfyUI-Workflow-Component"
_COMPONENT = re.compile(r"## .{1,150} \[[0-9a-f]{6}\]")
"""A component's class, as `## make-pipe [2c8c61]`: made by that pack when it reads the component, and in no map."""
OF_PACKS: Mapping[str, str] = {
    "ComponentInput": _COMPONENTS,
    "ComponentInputOptional": _COMPONENTS,
    "ComponentOutput": _COMPONENTS,
    "SetNode": "https://github.com/kijai/ComfyUI-KJNodes",
    "GetNode": "https://github.com/kijai/ComfyUI-KJNodes",
    "Fast Groups Muter (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Fast Groups Bypasser (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Fast Muter (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Fast Bypasser (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Fast Actions Button (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Bookmark (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Label (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Mute / Bypass Relay (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Mute / Bypass Repeater (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Node Collector (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Random Unmuter (rgthree)": "https://github.com/rgthree/rgthree-comfy",
    "Reroute (rgthree)": "https://github.com/rgthree/rgthree-comfy",
}
"""Drawn by the pages' part of a pack. The graph does not open whole without the pack, but /object_info never has them.
Sources: registerNodeType in KJNodes' web/js/setgetnodes.js, rgthree-comfy's src_web, and Workflow-Component's
component_loader.py."""


def pack_of(class_name: str) -> str | None:
    """The pack that draws a class, or makes it at run time; None where the name does not say it."""
    if class_name in OF_PACKS:
        return OF_PACKS[class_name]
    return _COMPONENTS if _COMPONENT.fullmatch(class_name) else None


def is_virtual(class_name: str) -> bool:
    """Whether no machine can have a class."""
    return class_name in CORE or class_name in OF_PACKS
