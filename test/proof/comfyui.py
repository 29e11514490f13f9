"""What a small ComfyUI says of its classes, written as `/object_info` is."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
MODELS = ["sd15.safetensors", "sdxl/base.safetensors"]


def about(required: Json, optional: Json | None = None, outputs: tuple[Any, ...] = (), **more: Any) -> Json:
    """One class, of ComfyUI itself unless said otherwise."""
    inputs = {"required": required, "optional": optional or {}}
    order = {part: list(found) for part, found in inputs.items()}
    return {"input": inputs, "input_order": order, "output": list(outputs), "python_module": "nodes", **more}


SEED = ["INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}]
SAMPLER = {
    "model": ["MODEL"],
    "seed": SEED,
    "steps": ["INT", {"default": 20, "min": 1, "max": 10000}],
    "cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0}],
    "sampler_name": [["euler", "dpmpp_2m"], {}],
    "positive": ["CONDITIONING"],
}
SIZES = [
    {"key": "scale", "inputs": {"required": {"factor": ["FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0}]}}},
    {"key": "exact", "inputs": {"required": {"width": ["INT", {"min": 1}], "height": ["INT", {"min": 1}]}}},
]
OBJECT_INFO: Json = {
    "CheckpointLoaderSimple": about({"ckpt_name": [MODELS, {}]}, outputs=("MODEL", "CLIP", "VAE")),
    "LoraLoader": about({"model": ["MODEL"], "lora_name": ["COMBO", {"options": []}]}, outputs=("MODEL",)),
    "CLIPTextEncode": about({"text": ["STRING", {"multiline": True}], "clip": ["CLIP"]}, outputs=("CONDITIONING",)),
    "KSampler": about(SAMPLER, outputs=("LATENT",)),
    "SaveLatent": about({"samples": ["LATENT"], "filename_prefix": ["STRING", {"default": "x"}]}, output_node=True),
    "LoadImage": about({"image": [["cat.png"], {"image_upload": True}]}, {"mask": ["MASK"]}, ("IMAGE", "MASK")),
    "Resize": about(
        {"image": ["IMAGE"], "size": ["COMFY_DYNAMICCOMBO_V3", {"options": SIZES}], "method": [["area", "lanczos"]]},
        outputs=("IMAGE",),
    ),
    "SaveImage": about({"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "x"}]}, output_node=True),
    "Old": about(
        {"image": ["IMAGE"], "amount": ["INT", {"forceInput": True}], "mode": [["a", "b"]]},
        outputs=("IMAGE",),
        python_module="custom_nodes.old",
    ),
}


def node(number: int, name: str, *widgets: Any, inputs: Json | None = None, **more: Any) -> Json:
    """A node of a page's graph. `inputs`: the links by the names of the inputs."""
    listed = [{"name": key, "type": "*", "link": link} for key, link in (inputs or {}).items()]
    return {"id": number, "type": name, "inputs": listed, "widgets_values": list(widgets), **more}


def graph(nodes: list[Json], *links: tuple[int, int, int], **more: Any) -> Json:
    """`links`: each its id, the node that it comes from, and that one's output."""
    return {"nodes": nodes, "links": [[each[0], each[1], each[2], 0, 0, "*"] for each in links], **more}


def sampled(**changed: Json) -> Json:
    """A whole small workflow; `changed`: nodes in the place of `loader`, `text`, `sampler` or `saver`."""
    nodes = {
        "loader": node(1, "CheckpointLoaderSimple", "sdxl/base.safetensors"),
        "text": node(2, "CLIPTextEncode", "a cat", inputs={"clip": 1}),
        "sampler": node(3, "KSampler", 7, "randomize", 20, 8, "euler", inputs={"model": 2, "positive": 3}),
        "saver": node(4, "SaveLatent", "x", inputs={"samples": 4}),
    }
    return graph(list((nodes | changed).values()), (1, 1, 1), (2, 1, 0), (3, 2, 0), (4, 3, 0))
