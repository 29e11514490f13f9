"""Reads JSON from elsewhere against the types of a dataclass's fields: the one gate for what an instance sends.

`loads_bounded` parses: at most so many bytes, so deep, and finite numbers only. `read_record` then checks each value.
What a type accepts is decided here and nowhere else, and how much of it by `budgets`, by the field's name. A value of
another type, or a number out of its range, is a `BadField`; a text is cut and cleaned; keys that the dataclass does not
have are dropped; a missing key takes the field's default. A key has the field's name, or the one in its metadata's
`wire`.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections import abc
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any, Callable, Dict, Mapping, Type, TypeVar, Union, get_args, get_origin, get_type_hints

from app.protocol import budgets
from app.protocol.clean_text import clean_block, clean_line

MAX_DEPTH = 16
"""How deep an object may nest that is kept as it came (a lock, what a probe found)."""
_MISSING: Any = dataclasses.MISSING
_UNIONS = (Union, getattr(types, "UnionType", Union))
"""As fields are written for Python 3.9, and for newer ones."""
_T = TypeVar("_T")
Check = Callable[[Any], Any]
"""Returns the typed value of a JSON value. Raises BadField."""


class ProtocolFault(ValueError):
    """Something that an instance sent is not of this protocol."""


class BadField(ValueError):
    """A JSON value is not of its field's type."""


def loads_bounded(text: Union[str, bytes], *, most_bytes: int, most_depth: int = budgets.MAX_DEPTH) -> object:
    """The value of a JSON text. Raises ProtocolFault for more than `most_bytes` bytes (characters of a str), more than
    `most_depth` objects and lists inside each other, numbers that are not finite, and for what is no JSON in UTF-8."""
    if len(text) > most_bytes:
        raise ProtocolFault("%d bytes where at most %d are possible" % (len(text), most_bytes))
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        value = _JSON.decode(decoded)
        if decoded.count("{") + decoded.count("[") > most_depth:
            _check_depth(value, most_depth)
        return value
    except (ValueError, RecursionError) as exc:
        raise ProtocolFault("%.300s" % exc) from None


def read_record(cls: Type[_T], raw: Any) -> _T:
    """An instance of the dataclass `cls` from a JSON object. Raises BadField, which names the field."""
    record: _T = _check_record(cls)(raw)  # type: ignore[arg-type]  # a class is hashable
    return record


def read_object(raw: Any, depth: int = 0) -> Mapping[str, Any]:
    """A JSON object that is kept as it came, its texts cleaned."""
    if type(raw) is not dict or depth > MAX_DEPTH or len(raw) > budgets.entries(""):
        raise BadField("not an object, or one that is too large or nests too deep")
    return {clean_line(name, budgets.LINE): _kept(value, depth + 1) for name, value in raw.items()}


def to_plain(value: Any) -> Any:
    """A typed value as JSON values."""
    if value is None or type(value) in (str, int, float, bool, dict):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return value.to_json() if hasattr(value, "to_json") else dict(value)


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number that is not finite")
    return number


def _no_number(text: str) -> Any:
    raise ValueError("%s is no number of JSON" % text)


_JSON = json.JSONDecoder(parse_float=_finite, parse_constant=_no_number)


def _check_depth(value: Any, most: int) -> None:
    """Raises ValueError where objects and lists nest deeper than `most`. Level by level: it does not recurse."""
    level = [value] if type(value) in (dict, list) else []
    for _ in range(most):
        if not level:
            return
        inner = [each.values() if type(each) is dict else each for each in level]
        level = [value for values in inner for value in values if type(value) is dict or type(value) is list]
    if level:
        raise ValueError("it nests deeper than %d" % most)


def _kept(raw: Any, depth: int) -> Any:
    kind = type(raw)
    if kind is str:
        return clean_block(raw, budgets.LONG)
    if kind is dict:
        return read_object(raw, depth)
    if kind is list:
        if depth > MAX_DEPTH or len(raw) > budgets.entries(""):
            raise BadField("it is too large or nests too deep")
        return [_kept(value, depth + 1) for value in raw]
    if kind is float and not isfinite(raw):
        raise BadField("not a number")
    if kind is int and not -budgets.MAX_INTEGER <= raw <= budgets.MAX_INTEGER:
        raise BadField("a number that is too large")
    return raw


def _integer_of(name: str) -> Check:
    least, most = budgets.integers(name)

    def read(raw: Any) -> int:
        if type(raw) is not int or not least <= raw <= most:
            raise BadField("not a whole number from %d to %d" % (least, most))
        return raw

    return read


def _number_of(name: str) -> Check:
    least, most = budgets.numbers(name)

    def read(raw: Any) -> float:
        if type(raw) not in (float, int) or not least <= raw <= most:  # NaN is in no range
            raise BadField("not a number from %g to %g" % (least, most))
        number: float = raw
        return number

    return read


def _text_of(name: str) -> Check:
    most = budgets.longest(name)
    clean = clean_block if name in budgets.BLOCKS else clean_line

    def read(raw: Any) -> str:
        if type(raw) is not str:
            raise BadField("not text")
        return clean(raw, most)

    return read


def _bool_of(_name: str) -> Check:
    def read(raw: Any) -> bool:
        if type(raw) is not bool:
            raise BadField("not true or false")
        return raw

    return read


_CHECKS: Mapping[Any, Callable[[str], Check]] = {
    str: _text_of,
    int: _integer_of,
    float: _number_of,
    bool: _bool_of,
}


def _check_of(hint: Any, name: str) -> Check:
    """The check of a field's type: one of those above, an enum, a dataclass, or a tuple, an object or an Optional of
    them."""
    if hint in _CHECKS:
        return _CHECKS[hint](name)
    origin, args = get_origin(hint), get_args(hint)
    if origin in _UNIONS:
        check = _check_of(args[0], name)
        return lambda raw: None if raw is None else check(raw)
    if origin is tuple:
        return _list_of(_check_of(args[0], name), name)
    if origin is abc.Mapping and args[1] is Any:
        return read_object
    if origin is abc.Mapping:
        return _mapping_of(_check_of(args[0], name), _check_of(args[1], name), name)
    if issubclass(hint, Enum):
        return _word_of(hint)
    return _check_record(hint)


def _list_of(check: Check, name: str) -> Check:
    most, kept = budgets.entries(name), budgets.kept_entries(name)

    def read(raw: Any) -> Any:
        if type(raw) is not list or len(raw) > most:
            raise BadField("not a list of at most %d entries" % most)
        return tuple([check(item) for item in raw[:kept]])

    return read


def _mapping_of(check_key: Check, check: Check, name: str) -> Check:
    most = budgets.entries(name)

    def read(raw: Any) -> Any:
        if type(raw) is not dict or len(raw) > most:
            raise BadField("not an object of at most %d entries" % most)
        return {check_key(key): check(value) for key, value in raw.items()}

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
        (row.metadata.get("wire", row.name), _check_of(hints[row.name], row.name), row.default, row.default_factory)
        for row in dataclasses.fields(cls)
    ]

    def read(raw: Any) -> Any:
        if type(raw) is not dict:
            raise BadField("not an object")
        values = []
        for name, check, default, make in rows:
            value = raw.get(name, default)
            if value is not default:
                try:
                    value = check(value)
                except BadField as exc:
                    raise BadField("%s: %s" % (name, exc)) from None
            elif value is _MISSING:
                if make is _MISSING:
                    raise BadField("%s is missing" % name)
                value = make()  # type: ignore[operator]  # it was compared above
            values.append(value)
        return cls(*values)

    return read
