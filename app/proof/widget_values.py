"""Which value of `widgets_values` belongs to which input: by the order of `/object_info`, as ComfyUI's page does it.

A list has no names. It has a place for each widget, one more behind a seed (`control_after_generate`) and behind the
required inputs of a node that takes uploads; older files have one for each input that is only to be connected. A
match is certain when every value fits the type of its place and none is left over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.proof.limits import MAX_DEPTH
from app.proof.node_specs import COMBO, DYNAMIC_COMBO, Input, Spec

_CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
_BUTTONS = (None, "", "image", "video", "audio", "upload")
"""What a button of the page leaves in the list."""
_EMPTY: Mapping[str, Any] = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}


@dataclass(frozen=True)
class Matched:
    """The values by the names of their inputs, those inputs, and why the match is not certain (empty: it is)."""

    values: Mapping[str, Any]
    inputs: tuple[Input, ...]
    doubt: str = ""


def match(spec: Spec, values: Any, linked: Collection[str], marked: Collection[str] = ()) -> Matched:
    """`linked`: the inputs that a link fills; `marked`: those of which the file says that they have a widget."""
    if isinstance(values, dict):
        return _named(spec, values)
    listed = values if isinstance(values, list) else []
    newer = _Walk(spec, listed, linked, marked, forced=False).run()
    if newer.doubt and any(each.is_forced for each in spec.inputs):
        older = _Walk(spec, listed, linked, marked, forced=True).run()
        return newer if older.doubt else older
    return newer


def by_name(spec: Spec, values: Mapping[str, Any]) -> tuple[Input, ...]:
    """The inputs of a class, with those that chosen values of dynamic combos bring."""
    return tuple(_all(spec.inputs, values, 0))


def default(each: Input) -> Any:
    """What the page puts into a widget for which the file has no value."""
    if "default" in each.options:
        return each.options["default"]
    if each.type == COMBO:
        return each.choices[0] if each.choices else None
    if each.type == DYNAMIC_COMBO:
        listed = each.options.get("options")
        first = listed[0] if isinstance(listed, list) and listed else None
        return first.get("key") if isinstance(first, dict) else None
    return _EMPTY.get(each.type)


def _named(spec: Spec, values: Mapping[str, Any]) -> Matched:
    inputs = by_name(spec, values)
    filled = {each.name: values.get(each.name, default(each)) for each in inputs if each.has_widget}
    return Matched(filled, inputs)


def _all(inputs: tuple[Input, ...], values: Mapping[str, Any], depth: int) -> Iterator[Input]:
    for each in inputs:
        yield each
        if each.type == DYNAMIC_COMBO and depth < MAX_DEPTH:
            yield from _all(each.selected(values.get(each.name)) or (), values, depth + 1)


class _Walk:
    """Goes through the inputs of a class and the values of a node side by side."""

    def __init__(
        self, spec: Spec, values: list[Any], linked: Collection[str], marked: Collection[str], *, forced: bool
    ) -> None:
        self._spec = spec
        self._left = list(reversed(values))
        self._linked = linked
        self._marked = marked
        self._forced = forced
        self._values: dict[str, Any] = {}
        self._inputs: list[Input] = []
        self._doubts: list[str] = []

    def run(self) -> Matched:
        """Everything, once."""
        required = [each for each in self._spec.inputs if each.required]
        optional = [each for each in self._spec.inputs if not each.required]
        self._fill(required)
        if any(each.is_upload for each in required):
            self._skip_buttons(sum(each.has_widget for each in optional))
        self._fill(optional)
        rest = [value for value in self._left if value not in _BUTTONS and value not in _CONTROLS]
        if rest and not self._spec.is_core:  # what core has no more is left over, and its page leaves it out
            self._doubts.append(f"{len(rest)} values more than inputs")
        return Matched(self._values, tuple(self._inputs), "; ".join(self._doubts[:3]))

    def _fill(self, inputs: list[Input], depth: int = 0) -> None:
        for number, each in enumerate(inputs):
            self._inputs.append(each)
            if each.has_widget or each.name in self._marked:
                self._read(each, inputs[number + 1] if number + 1 < len(inputs) else None, depth)
            elif self._forced and each.is_forced and self._left:
                self._left.pop()

    def _read(self, each: Input, successor: Input | None, depth: int) -> None:
        if not self._left:
            self._values[each.name] = default(each)
        else:
            value = self._left.pop()
            self._values[each.name] = value
            if not _fits(each, value) and each.name not in self._linked:
                self._doubts.append(f"{each.name} would be {str(value)[:40]!r}")
        if each.type == DYNAMIC_COMBO and depth < MAX_DEPTH:
            self._fill(list(each.selected(self._values[each.name]) or ()), depth + 1)
        elif each.has_control:
            self._skip_control(each, successor)

    def _skip_control(self, each: Input, successor: Input | None) -> None:
        said = self._left[-1] if self._left else None
        if not isinstance(said, str) or said not in _CONTROLS:
            return
        is_own = bool(successor and successor.choices and said in successor.choices)
        if not is_own or each.options.get("control_after_generate"):
            self._left.pop()
            if each.type == COMBO and self._left and self._left[-1] == "":
                self._left.pop()  # the filter of the choices

    def _skip_buttons(self, needed: int) -> None:
        while len(self._left) > needed and self._left[-1] in _BUTTONS:
            self._left.pop()


def _fits(each: Input, value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if each.type in ("INT", "FLOAT"):
        return is_number
    if each.type == "STRING":
        return isinstance(value, str)
    if each.type == "BOOLEAN":
        return isinstance(value, bool)
    if each.type == COMBO:
        return isinstance(value, str) or is_number or isinstance(value, bool)
    return each.type != DYNAMIC_COMBO or each.selected(value) is not None
