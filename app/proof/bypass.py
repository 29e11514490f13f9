"""What a bypassed node passes on, as ComfyUI's page decides it when it sends the graph.

The page takes the slots of a class that it knows from ComfyUI, and those of another from the file. Of the inputs it
takes one, by its type and place; where nothing is linked to that one, nothing is passed on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.proof.node_specs import COMBO, Input, Spec

_ANY = ("*", "", None, 0)
_ADJUSTED = "COMFY_"
"""Types that the page replaces by that of what is linked; the file has the one that it found."""


@dataclass(frozen=True, slots=True)
class Slot:
    """An input or output. `link`: the id of what is linked to it."""

    name: str
    type: Any
    link: Any = None


def inputs_of(raw: Mapping[str, Any], spec: Spec | None) -> list[Slot]:
    """The inputs of a node in the page's order: those to connect, those with a widget, then those that only the file
    has."""
    listed = [Slot(str(each.get("name")), each.get("type"), each.get("link")) for each in _dicts(raw.get("inputs"))]
    if spec is None:
        return listed
    by_name = {each.name: each for each in listed}
    defined = [_defined(each, by_name.get(each.name)) for each in sorted(spec.inputs, key=lambda each: each.has_widget)]
    return defined + [each for each in listed if each.name not in spec.by_name]


def _defined(each: Input, slot: Slot | None) -> Slot:
    if slot is None:
        return Slot(each.name, each.type)
    return Slot(each.name, slot.type if each.type.startswith(_ADJUSTED) else each.type, slot.link)


def type_of(given: Mapping[str, Any], spec: Spec | None) -> Any:
    """The type that the page gives an input of a file."""
    defined = spec.by_name.get(str(given.get("name"))) if spec is not None else None
    return given.get("type") if defined is None or defined.type.startswith(_ADJUSTED) else defined.type


def output_of(raw: Mapping[str, Any], spec: Spec | None, number: int) -> Slot | None:
    """An output; None where there is none of this number."""
    if spec is not None and number < len(spec.outputs) and not str(spec.outputs[number]).startswith(_ADJUSTED):
        given = spec.outputs[number]
        return Slot("", COMBO if isinstance(given, list) else given)
    listed = _dicts(raw.get("outputs"))
    return Slot("", listed[number].get("type")) if number < len(listed) else None


def passed_on(inputs: Sequence[Slot], output: Any, number: int, wanted: Any) -> Slot | None:
    """The input that an output of a bypassed node stands for. `wanted`: the type of the input that it goes to."""
    same = inputs[number] if number < len(inputs) else None
    if wanted in _ANY:
        return same or next(iter(inputs), None)
    if same is not None and _connect(same.type, output) and _connect(same.type, wanted):
        return same
    exact = next((each for each in inputs if each.type == wanted), None)
    fits = (each for each in inputs if _connect(each.type, output) and _connect(each.type, wanted))
    return exact or next(fits, None)


def _connect(one: Any, other: Any) -> bool:
    """Whether the page lets two types be linked; a type may be several, with commas between."""
    if one in _ANY or other in _ANY:
        return True
    return not {*str(one).lower().split(",")}.isdisjoint(str(other).lower().split(","))


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    listed = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [each for each in listed if isinstance(each, dict)]
