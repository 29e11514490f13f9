"""What a ComfyUI says of its classes: `/object_info` as inputs with types, choices and ranges, and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from app.proof.limits import MAX_CLASSES, MAX_INPUTS

COMBO = "COMBO"
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
AUTOGROW = "COMFY_AUTOGROW_V3"
_WIDGETS = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", COMBO, DYNAMIC_COMBO})
_UPLOADS = ("image_upload", "video_upload", "audio_upload", "file_upload", "animated_image_upload")
_CORE = ("nodes", "comfy_extras", "comfy_api_nodes")


@dataclass(frozen=True)
class Input:
    """An input of a class. `choices`: of a COMBO that has a list; None where it has none, or gets it elsewhere."""

    name: str
    type: str
    required: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[Any, ...] | None = None
    names: frozenset[str] = frozenset()
    """Of the choices those that are texts."""

    def offers(self, value: object) -> bool:
        """Whether a value is among the choices."""
        return value in self.names if isinstance(value, str) else value in (self.choices or ())

    @property
    def has_widget(self) -> bool:
        """Whether ComfyUI's page draws something to fill in, which then has a place in `widgets_values`."""
        return self.type in _WIDGETS and not self.is_forced

    @property
    def is_forced(self) -> bool:
        """Whether a type that could be filled in is only to be connected."""
        return self.type in _WIDGETS and bool(self.options.get("forceInput"))

    @property
    def is_upload(self) -> bool:
        """Whether the choices are files that a person brings along."""
        return any(self.options.get(name) for name in _UPLOADS)

    @property
    def has_control(self) -> bool:
        """Whether the page draws `control_after_generate` behind it."""
        declared = self.options.get("control_after_generate")
        return bool(declared) if declared is not None else self.type == "INT" and "seed" in self.name.lower()

    def selected(self, key: object) -> tuple[Input, ...] | None:
        """The inputs that a choice of a dynamic combo brings; None for a choice that there is not."""
        for option in _list(self.options.get("options")):
            if isinstance(option, dict) and option.get("key") == key:
                return tuple(_inputs(option.get("inputs"), {}, f"{self.name}."))
        return None


@dataclass(frozen=True)
class Spec:
    """A class. `is_core`: ComfyUI itself has it."""

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[Any, ...]
    is_output: bool
    is_core: bool

    @cached_property
    def by_name(self) -> Mapping[str, Input]:
        """The inputs by their names."""
        return {each.name: each for each in self.inputs}


class Specs:
    """The classes of a ComfyUI by name; each is read when it is asked for."""

    def __init__(self, object_info: Mapping[str, Any]) -> None:
        self._raw = object_info if len(object_info) <= MAX_CLASSES else {}
        self._read: dict[str, Spec | None] = {}

    def __contains__(self, name: object) -> bool:
        return isinstance(self._raw.get(name) if isinstance(name, str) else None, dict)

    def __len__(self) -> int:
        return len(self._raw)

    def get(self, name: str) -> Spec | None:
        """None for a class that this ComfyUI has not."""
        if name not in self._read:
            raw = self._raw.get(name)
            self._read[name] = _spec(name, raw) if isinstance(raw, dict) else None
        return self._read[name]


def _spec(name: str, raw: Mapping[str, Any]) -> Spec:
    inputs = tuple(_inputs(raw.get("input"), raw.get("input_order"), ""))
    module = str(raw.get("python_module", "")).split(".")[0]
    return Spec(name, inputs, tuple(_list(raw.get("output"))), raw.get("output_node") is True, module in _CORE)


def _inputs(raw: Any, order: Any, prefix: str) -> Iterator[Input]:
    """Required ones first, in the order in which the page draws them."""
    for part in ("required", "optional"):
        found = _mapping(_mapping(raw).get(part))
        names = [name for name in _list(_mapping(order).get(part)) if isinstance(name, str) and name in found]
        for name in (names + [each for each in found if each not in set(names)])[:MAX_INPUTS]:
            made = _input(prefix + str(name), found[name], part == "required")
            if made is not None:
                yield made


def _input(name: str, raw: Any, required: bool) -> Input | None:
    if not isinstance(raw, list) or not raw:
        return None
    options = _mapping(raw[1] if len(raw) > 1 else None)
    if isinstance(raw[0], list):
        return _combo(name, required, options, raw[0])
    if raw[0] == COMBO:
        listed = options.get("options")
        return _combo(name, required, options, listed)
    return Input(name, str(raw[0]), required, options)


def _combo(name: str, required: bool, options: Mapping[str, Any], listed: Any) -> Input:
    if not isinstance(listed, list):
        return Input(name, COMBO, required, options)
    names = frozenset(each for each in listed if isinstance(each, str))
    return Input(name, COMBO, required, options, tuple(listed), names)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
