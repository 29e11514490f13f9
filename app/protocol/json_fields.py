"""Checks JSON values against the types of a dataclass's fields: the one gate that a line from the instance passes.

What a type accepts is decided here and nowhere else. A value of another type, or a number that is not finite, is a
`BadField`; keys that the dataclass does not have are dropped; a missing key takes the field's default. A key has the
field's name, or the one in its metadata's `wire`.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any, Callable, Dict, Mapping, Type, TypeVar, Union, get_args, get_origin, get_type_hints

MAX_DEPTH = 16
"""How deep an object may nest that is kept as it came (a lock, what a probe found)."""
_MAX_INTEGER = 2**63
_REQUIRED: Any = object()
_T = TypeVar("_T")
Check = Callable[[Any], Any]
"""Returns the typed value of a JSON value. Raises BadField."""


class BadField(ValueError):
    """A JSON value is not of its field's type."""


def read_record(cls: Type[_T], raw: Mapping[str, Any]) -> _T:
    """An instance of the dataclass `cls` from a JSON object. Raises BadField, which names the field."""
    record: _T = _check_record(cls)(raw)  # type: ignore[arg-type]  # a class is hashable
    return record


def read_object(raw: Any, depth: int = 0) -> Mapping[str, Any]:
    """A JSON object that is kept as it came."""
    if type(raw) is not dict or depth > MAX_DEPTH:
        raise BadField("not an object, or one that nests too deep")
    for value in raw.values():
        _check_plain(value, depth + 1)
    return raw


def to_plain(value: Any) -> Any:
    """A typed value as JSON values."""
    if value is None or type(value) in (str, int, float, bool, dict):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return value.to_json() if hasattr(value, "to_json") else dict(value)


def _check_plain(raw: Any, depth: int) -> None:
    if type(raw) is dict:
        read_object(raw, depth)
    elif type(raw) is list:
        if depth > MAX_DEPTH:
            raise BadField("it nests too deep")
        for value in raw:
            _check_plain(value, depth + 1)
    elif type(raw) is float:
        _number(raw)


def _integer(raw: Any) -> int:
    if type(raw) is not int or not -_MAX_INTEGER <= raw < _MAX_INTEGER:
        raise BadField("not an integer")
    return raw


def _number(raw: Any) -> float:
    if type(raw) is float and isfinite(raw):
        return raw
    return _integer(raw)


def _exactly(kind: Type[Any], message: str) -> Check:
    def read(raw: Any) -> Any:
        if type(raw) is not kind:
            raise BadField(message)
        return raw

    return read


_CHECKS: Mapping[Any, Check] = {
    str: _exactly(str, "not text"),
    int: _integer,
    float: _number,
    bool: _exactly(bool, "not true or false"),
    Mapping[str, Any]: read_object,
}


def _check_of(hint: Any) -> Check:
    """The check of a type: one of those above, an enum, a dataclass, a tuple or an Optional of them."""
    if hint in _CHECKS:
        return _CHECKS[hint]
    if get_origin(hint) is Union:
        check = _check_of(get_args(hint)[0])
        return lambda raw: None if raw is None else check(raw)
    if get_origin(hint) is tuple:
        return _list_of(_check_of(get_args(hint)[0]))
    if issubclass(hint, Enum):
        return _word_of(hint)
    return _check_record(hint)


def _list_of(check: Check) -> Check:
    def read(raw: Any) -> Any:
        if type(raw) is not list:
            raise BadField("not a list")
        return tuple([check(item) for item in raw])

    return read


def _word_of(words: Type[Enum]) -> Check:
    members: Dict[str, Enum] = {member.value: member for member in words}

    def read(raw: Any) -> Enum:
        member = members.get(raw) if type(raw) is str else None
        if member is None:
            raise BadField("%.80r is none of %s" % (raw, ", ".join(members)))
        return member

    return read


@lru_cache(None)
def _check_record(cls: Any) -> Check:
    hints = get_type_hints(cls)
    rows = [
        (
            field.metadata.get("wire", field.name),
            _check_of(hints[field.name]),
            _REQUIRED if field.default is dataclasses.MISSING else field.default,
        )
        for field in dataclasses.fields(cls)
    ]

    def read(raw: Any) -> Any:
        if type(raw) is not dict:
            raise BadField("not an object")
        values = []
        for name, check, default in rows:
            value = raw.get(name, default)
            if value is not default:
                try:
                    value = check(value)
                except BadField as exc:
                    raise BadField("%s: %s" % (name, exc)) from None
            elif value is _REQUIRED:
                raise BadField("%s is missing" % name)
            values.append(value)
        return cls(*values)

    return read
