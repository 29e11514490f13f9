"""Classes that exist only in ComfyUI's pages: nothing on a machine has them, and nothing is missing without them."""

from __future__ import annotations

from collections.abc import Mapping

CORE = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})
"""Drawn by ComfyUI's own pages."""
OF_PACKS: Mapping[str, str] = {
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
Sources: registerNodeType in KJNodes' web/js/setgetnodes.js, and rgthree-comfy's src_web."""


def is_virtual(class_name: str) -> bool:
    """Whether no machine can have a class."""
    return class_name in CORE or class_name in OF_PACKS
