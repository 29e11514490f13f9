"""What all kinds of events have in common: how a body is read from JSON and written as JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any, ClassVar, Dict, Mapping, Type

from app.protocol.json_fields import read_record, to_plain


def left_out() -> Any:
    """A field that is not on the wire while it is None."""
    return field(default=None, metadata={"left_out": True})


class Body:
    """What happened. Each kind of event is a frozen dataclass of events.py; its docstring begins with its meaning."""

    kind: ClassVar[str]

    # Generated once here and not for each of the kinds, since it would lengthen every start of the runner.
    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

    def __init_subclass__(cls, kind: str = "") -> None:
        cls.kind = kind
        if kind:
            KINDS[kind] = cls

    @classmethod
    def of_json(cls, raw: Mapping[str, Any]) -> Body:
        """The body of a JSON object. Raises BadField; fields that this kind does not have are ignored."""
        return read_record(cls, raw)

    def to_json(self) -> Dict[str, Any]:
        """The fields as JSON values."""
        values = vars(self)
        return {
            row.name: to_plain(values[row.name])
            for row in dataclasses.fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
            if values[row.name] is not None or "left_out" not in row.metadata
        }


KINDS: Dict[str, Type[Body]] = {}
"""Every kind by its word, in the order of the classes in events.py."""
