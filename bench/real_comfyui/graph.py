"""A workflow whose nodes are of five real packs, as ComfyUI saves it and as it is sent to be run."""

from __future__ import annotations

from typing import Any

PACKS = {
    "INTConstant": "https://github.com/kijai/ComfyUI-KJNodes",
    "VHS_DuplicateImages": "https://github.com/Kosinkadink/ComfyUI-VideoHelperSuite",
    "Get resolution [Crystools]": "https://github.com/crystian/ComfyUI-Crystools",
    "Primitive string [Crystools]": "https://github.com/crystian/ComfyUI-Crystools",
    "ShowText|pysssss": "https://github.com/pythongosssss/ComfyUI-Custom-Scripts",
    "Display Any (rgthree)": "https://github.com/rgthree/rgthree-comfy",
}
"""Which pack has the class: the answers, where it is asked."""
_NODES: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    ("INTConstant", {"value": 2}, ("INT",)),
    ("EmptyImage", {"width": 64, "height": 64, "batch_size": 1, "color": 0}, ("IMAGE",)),
    ("VHS_DuplicateImages", {"images": ("IMAGE", 2, 0), "multiply_by": ("INT", 1, 0)}, ("IMAGE", "INT")),
    ("PreviewImage", {"images": ("IMAGE", 3, 0)}, ()),
    ("Get resolution [Crystools]", {"image": ("IMAGE", 3, 0)}, ("INT", "INT")),
    ("Display Any (rgthree)", {"source": ("*", 5, 0)}, ()),
    ("Primitive string [Crystools]", {"string": "ready"}, ("STRING",)),
    ("ShowText|pysssss", {"text": ("STRING", 7, 0)}, ("STRING",)),
)
"""Class, inputs (a value, or type, node and slot of a link), types of the outputs; node ids count from 1."""


def saved() -> dict[str, Any]:
    """As ComfyUI's menu saves it."""
    links: list[list[Any]] = []
    nodes: list[dict[str, Any]] = []
    for number, (name, inputs, outputs) in enumerate(_NODES, start=1):
        slots: list[dict[str, Any]] = []
        for key, value in inputs.items():
            if isinstance(value, tuple):
                kind, node, slot = value
                links.append([len(links) + 1, node, slot, number, len(slots), kind])
                nodes[node - 1]["outputs"][slot]["links"].append(len(links))
                slots.append({"name": key, "type": kind, "link": len(links)})
        values = [2] if name == "VHS_DuplicateImages" else [v for v in inputs.values() if not isinstance(v, tuple)]
        nodes.append(
            {
                "id": number,
                "type": name,
                "inputs": slots,
                "outputs": [{"name": kind, "type": kind, "links": []} for kind in outputs],
                "widgets_values": values,
                "mode": 0,
            }
        )
    return {"nodes": nodes, "links": links, "version": 0.4, "last_node_id": len(nodes), "last_link_id": len(links)}


def to_run() -> dict[str, Any]:
    """As it is sent to ComfyUI's /prompt."""
    return {
        str(number): {
            "class_type": name,
            "inputs": {
                key: [str(value[1]), value[2]] if isinstance(value, tuple) else value for key, value in inputs.items()
            },
        }
        for number, (name, inputs, _) in enumerate(_NODES, start=1)
    }
