"""Whether a ComfyUI takes a value for an input: among the choices, within the range, of the right type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.proof.findings import Finding, Kind
from app.proof.limits import MAX_ALIKE
from app.proof.node_specs import AUTOGROW, COMBO, DYNAMIC_COMBO, Input
from app.proof.wiring import RunNode
from app.workflowfile.models import EXTENSIONS, Model

_FOLDERS: Mapping[str, str] = {
    "ckpt_name": "checkpoints",
    "lora_name": "loras",
    "vae_name": "vae",
    "unet_name": "diffusion_models",
    "control_net_name": "controlnet",
    "style_model_name": "style_models",
    "gligen_name": "gligen",
    "hypernetwork_name": "hypernetworks",
    "photomaker_model_name": "photomaker",
    "audio_encoder_name": "audio_encoders",
}
"""Where ComfyUI's own loaders look, by the input's name."""
_FOLDERS_OF_CLASSES: Mapping[str, str] = {
    "CLIPVisionLoader": "clip_vision",
    "UpscaleModelLoader": "upscale_models",
    "ModelPatchLoader": "model_patches",
    "LatentUpscaleModelLoader": "latent_upscale_models",
}
_ANY = ("*", "COMFY_MATCHTYPE_V3")
_SOME_NAMES = 3


def judge(node: RunNode, each: Input, value: Any, models: Mapping[str, Model]) -> Finding | None:
    """What is wrong with a value; None: ComfyUI takes it."""
    if each.type == COMBO:
        return _choice(node, each, value, models)
    if each.type == DYNAMIC_COMBO:
        return None if each.selected(value) is not None else _finding(node, each, Kind.CHOICE, *_not_offered(value, ()))
    if each.type in ("INT", "FLOAT"):
        return _number(node, each, value)
    if value is None and each.required and each.type in ("STRING", "BOOLEAN"):
        return None  # ComfyUI makes a text and a truth value of anything
    return None


def is_optional(each: Input) -> bool:
    """Whether ComfyUI runs without an input that its class calls required: it makes the inputs of these itself."""
    return each.type in (AUTOGROW, DYNAMIC_COMBO, "COMFY_DYNAMICSLOT_V3")


def types_fit(given: Any, wanted: str) -> bool:
    """Whether an output may be linked to an input: each is a type, or several with commas between."""
    if isinstance(given, list) or wanted == COMBO:
        return isinstance(given, list) or str(given) in (COMBO, *_ANY) or "*" in str(given)
    if given in _ANY or wanted in _ANY or wanted.startswith("COMFY_") or str(given).startswith("COMFY_"):
        return True
    one, other = ({part.strip() for part in str(text).split(",")} for text in (given, wanted))
    return bool(one & other) or "*" in one | other


def _choice(node: RunNode, each: Input, value: Any, models: Mapping[str, Model]) -> Finding | None:
    if each.choices is None or each.offers(value):
        return None if each.choices is not None or "remote" not in each.options else _elsewhere(node, each)
    if each.is_upload:
        return _file(node, each, value)
    if _is_model(value) or (value is None and not each.choices):
        return _model(node, each, value, models)
    if not each.choices:
        what = f"{each.name} has nothing to choose from on this machine; the workflow names {_short(value)}."
        return _finding(node, each, Kind.MODEL, what, "Put the file into its folder.", name=_short(value))
    return _finding(node, each, Kind.CHOICE, *_not_offered(value, each.choices))


def _not_offered(value: Any, choices: tuple[Any, ...]) -> tuple[str, str]:
    some = ", ".join(_short(each) for each in choices[:_SOME_NAMES])
    hint = f"Choose another in ComfyUI, such as {some}." if some else "Choose another in ComfyUI."
    return f"{_short(value)} is not among the choices.", hint


def _elsewhere(node: RunNode, each: Input) -> Finding:
    what = f"The choices of {each.name} come from a service that only ComfyUI's page asks."
    return _finding(node, each, Kind.UNSURE, what, "Look at this node in ComfyUI.")


def _file(node: RunNode, each: Input, value: Any) -> Finding | None:
    """A picture, a sound or a video that the workflow begins with."""
    name = _short(value)
    if isinstance(value, str) and ("/" in value or "\\" in value or value.rstrip().endswith("]")):
        what = f"Whether {name} is there is not said: it is in another folder than the choices."
        return _finding(node, each, Kind.UNSURE, what, "Look at this node in ComfyUI.")
    what = f"The file {name} is not in ComfyUI's input folder." if value else "No file is chosen."
    hint = "Upload it at this node in ComfyUI, or choose another there."
    return _finding(node, each, Kind.FILE, what, hint, name=name or None, folder="input")


def _model(node: RunNode, each: Input, value: Any, models: Mapping[str, Model]) -> Finding:
    text = value if isinstance(value, str) else ""
    slashed = text.replace("\\", "/")
    choices = [str(choice) for choice in (each.choices or ())[:MAX_ALIKE]]
    alike = [choice for choice in choices if choice.replace("\\", "/") == slashed]
    if alike:
        what = f"The workflow names {text} with other slashes than this machine."
        return _finding(node, each, Kind.MODEL, what, f"Choose {alike[0]} in ComfyUI.", name=text)
    file_name = slashed.rpartition("/")[2]
    near = [choice for choice in choices if choice.replace("\\", "/").rpartition("/")[2] == file_name]
    known = models.get(slashed)
    folder = (known.folder if known else None) or folder_of(node.class_name, each.name)
    if not text:
        what = f"{each.name} has no model to choose from."
    elif near:
        what = f"The model {text} is not there, but {near[0]} is."
    else:
        what = f"The model {text} is not on this machine."
    if near:
        hint = f"Choose {near[0]} in ComfyUI if it is the same."
    else:
        hint = f"Put it into models/{folder}." if folder else f"Put it where {node.class_name} looks for its models."
    url = known.url if known else None
    return _finding(node, each, Kind.MODEL, what, hint, name=slashed, folder=folder, url=url)


def folder_of(class_name: str, input_name: str) -> str | None:
    """The folder of models that a loader of ComfyUI itself has; None where it is not known."""
    if class_name in _FOLDERS_OF_CLASSES:
        return _FOLDERS_OF_CLASSES[class_name]
    return "text_encoders" if input_name.startswith("clip_name") else _FOLDERS.get(input_name)


def _number(node: RunNode, each: Input, value: Any) -> Finding | None:
    try:
        number = int(value) if each.type == "INT" else float(value)
    except (TypeError, ValueError, OverflowError):
        what = f"{each.name} is a number, and the workflow has {_short(value)!r}."
        return _finding(node, each, Kind.VALUE, what, "Fill it in in ComfyUI.")
    least, most = (_as_number(each.options.get(name)) for name in ("min", "max"))
    if least is not None and number < least:
        return _finding(node, each, Kind.VALUE, f"{each.name} is {number}, less than {least}.", "Raise it in ComfyUI.")
    if most is not None and number > most:
        return _finding(node, each, Kind.VALUE, f"{each.name} is {number}, more than {most}.", "Lower it in ComfyUI.")
    return None


def _as_number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _is_model(value: Any) -> bool:
    return isinstance(value, str) and value.lower().endswith(EXTENSIONS)


def _short(value: Any) -> str:
    return str("" if value is None else value)[:200]


def _finding(node: RunNode, each: Input, kind: Kind, what: str, hint: str, **file: Any) -> Finding:
    return Finding(kind, node.node_id, node.class_name, each.name, what, hint, **file)
