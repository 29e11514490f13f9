"""YAML as plain data: mappings, lists and text, read by PyYAML.

Scalars stay the text that they are in the document (a version 1.10 is not a number, a hash of digits neither, `on` is
no truth value) except for null, true and false. Tags are passed over: nothing is ever made but plain data. What an
alias stands for counts again each time, so that a short document cannot grow without bound. The library is imported
when it is first needed: it is compiled from the zipapp on an instance.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Optional, Tuple

_MOST_EVENTS = 20_000
"""A snapshot of 1,000 packs and 5,000 packages has 17,000."""
_DEEPEST = 20
_LONGEST_LINE = 4000
"""The address of one package may be a signed one; what is longer takes PyYAML too long."""
_WORDS: Dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_MERGE = "<<"
_PART = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


class BadYaml(ValueError):
    """The text is no YAML, or too much of it."""


def parse_yaml(text: str, twice: Optional[List[str]] = None) -> Any:
    """The value of a document. A key that stands twice has its later value (two mappings become one) and is added to
    `twice` where the values differ; a key that is no text is added too, and its value is not read. Raises BadYaml
    naming the line."""
    import yaml

    text = _UNPRINTABLE.sub("\ufffd", text)
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST_LINE:
            raise BadYaml("line %d is longer than %d characters" % (number, _LONGEST_LINE))
    found: List[str] = []
    try:
        # libyaml is 20 times as fast, where there is one; the runner's zipapp has none
        value = _Builder(yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)), found).document()
    except yaml.MarkedYAMLError as exc:
        if "\t" in text:  # YAML has no tabs; people's editors have
            return parse_yaml(text.replace("\t", "  "), twice)
        mark = exc.problem_mark or exc.context_mark
        where = "line %d: " % (mark.line + 1) if mark else ""
        raise BadYaml("%s%s" % (where, exc.problem or exc.context)) from None
    except yaml.YAMLError as exc:
        raise BadYaml(" ".join(str(exc).split())) from None
    if twice is not None:
        twice += found
    return value


def put_twice(found: Dict[str, Any], key: str, value: Any, twice: List[str]) -> None:
    """Puts `value` where a value stands already: the later one counts, two mappings become one. `twice`: gets the key
    where something is lost by it."""
    earlier = found[key]
    if isinstance(earlier, dict) and isinstance(value, dict):
        for name, inner in value.items():
            if name in earlier:
                put_twice(earlier, name, inner, twice)
            else:
                earlier[name] = inner
        return
    if earlier != value:
        twice.append(key)
    found[key] = value


class _Builder:
    """Makes the value of a document of PyYAML's events, and stops at the first one that it refuses."""

    def __init__(self, events: Iterator[Any], twice: List[str]) -> None:
        self._events = events
        self._count = 0
        self._twice = twice
        self._anchors: Dict[str, Tuple[Any, int]] = {}
        """What each stands for, and of how many events it was made."""

    def document(self) -> Any:
        """The first document that has something; None for an empty text."""
        value = None
        for event in self._events:
            if type(event).__name__ != "DocumentStartEvent":
                continue
            self._anchors.clear()
            another = self._value(self._next(), 0)
            if value is None:
                value = another
            elif another is not None:
                self._twice.append("line %d begins a second document, which is not read" % _line(event))
        return value

    def _next(self) -> Any:
        event = next(self._events)
        self._add(1, event)
        return event

    def _add(self, events: int, event: Any) -> None:
        self._count += events
        if self._count > _MOST_EVENTS:
            raise BadYaml("line %d: there is more than a snapshot can have" % _line(event))

    def _value(self, event: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise BadYaml("line %d is nested too deep" % _line(event))
        kind, before = type(event).__name__, self._count
        if kind == "AliasEvent":
            return self._alias(event)
        if kind == "MappingStartEvent":
            value: Any = self._mapping(depth)
        elif kind == "SequenceStartEvent":
            value = []
            while type(inner := self._next()).__name__ != "SequenceEndEvent":
                value.append(self._value(inner, depth + 1))
        else:
            is_plain = not event.style
            value = _WORDS.get(event.value.lower(), event.value) if is_plain else event.value
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before + 1)
        return value

    def _alias(self, event: Any) -> Any:
        """What it stands for, which has been made already: none can be a part of itself."""
        if event.anchor not in self._anchors:
            raise BadYaml("line %d has an alias of nothing that stands before it" % _line(event))
        value, events = self._anchors[event.anchor]
        self._add(events, event)
        return _copied(value)

    def _mapping(self, depth: int) -> Dict[str, Any]:
        found: Dict[str, Any] = {}
        merged: Dict[str, Any] = {}
        while type(event := self._next()).__name__ != "MappingEndEvent":
            key = self._value(event, depth + 1) if type(event).__name__ == "AliasEvent" else event
            if type(key).__name__ not in ("ScalarEvent", "str"):
                self._value(key, depth + 1)
                self._value(self._next(), depth + 1)
                self._twice.append("line %d has a key that is not text" % _line(event))
                continue
            name = key if isinstance(key, str) else key.value
            value = self._value(self._next(), depth + 1)
            if name == _MERGE:
                for each in reversed(value if isinstance(value, list) else [value]):
                    merged.update(each if isinstance(each, dict) else {})
            elif name in found:
                put_twice(found, name, value, self._twice)
            else:
                found[name] = value
            if isinstance(key, str) or key.anchor is None:
                continue
            self._anchors[key.anchor] = (name, 1)
        return {**merged, **found}


def _copied(value: Any) -> Any:
    """A copy of plain data: what is put into one place does not appear in another."""
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def line_of(text: str, path: str) -> Optional[int]:
    """The line of a field like `definition.customNodes[3].gitRef` in JSON or YAML, or of what is nearest to it; None
    where the text is neither."""
    import yaml

    try:
        node: Any = yaml.compose(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    line = None
    for found in _PART.finditer(path):
        key, inner = _inner(node, found.group(1), found.group(2))
        if inner is None:
            break
        line, node = (key or inner).start_mark.line + 1, inner
    return line


def _inner(node: Any, name: Optional[str], index: Optional[str]) -> Any:
    """The key and the value below a node."""
    values = getattr(node, "value", None)
    if not isinstance(values, list):
        return None, None
    if index is not None:
        number = int(index)
        inner = values[number] if number < len(values) else None
        return None, None if isinstance(inner, tuple) else inner
    pairs = [each for each in values if isinstance(each, tuple)]
    return next(((key, value) for key, value in pairs if getattr(key, "value", None) == name), (None, None))
