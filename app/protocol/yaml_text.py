"""YAML as plain data: mappings, lists and text, read by PyYAML.

Scalars stay the text that they are in the document (a version 1.10 is not a number, a hash of digits neither, `on` is
no truth value) except for null, true and false. Anchors, aliases and tags are refused: no snapshot has them, and a
short document could grow without bound. The library is imported when it is first needed: it is compiled from the
zipapp on an instance.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List

_MOST_EVENTS = 20_000
"""A snapshot of 1,000 packs and 5,000 packages has 17,000."""
_DEEPEST = 20
_LONGEST_LINE = 1000
_WORDS: Dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}


class BadYaml(ValueError):
    """The text is no YAML, or more than plain data."""


def parse_yaml(text: str) -> Any:
    """The value of a document. Raises BadYaml naming the line."""
    import yaml

    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST_LINE:
            raise BadYaml("line %d is longer than %d characters" % (number, _LONGEST_LINE))
    try:
        return _Builder(yaml.parse(text, Loader=yaml.BaseLoader)).document()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = "line %d: " % (mark.line + 1) if mark else ""
        raise BadYaml("%s%s" % (where, exc.problem or exc.context)) from None
    except yaml.YAMLError as exc:
        raise BadYaml(" ".join(str(exc).split())) from None


class _Builder:
    """Makes the value of a document of PyYAML's events, and stops at the first one that it refuses."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._count = 0

    def document(self) -> Any:
        """The only document; None for an empty text."""
        value, seen = None, False
        for event in self._events:
            if type(event).__name__ == "DocumentStartEvent":
                if seen:
                    raise BadYaml("line %d begins a second document" % _line(event))
                value, seen = self._value(self._next(), 0), True
        return value

    def _next(self) -> Any:
        event = next(self._events)
        self._count += 1
        if self._count > _MOST_EVENTS:
            raise BadYaml("line %d: there is more than a snapshot can have" % _line(event))
        if type(event).__name__ == "AliasEvent" or getattr(event, "anchor", None) is not None:
            raise BadYaml("line %d has an anchor or an alias, which snapshots do not have" % _line(event))
        if getattr(event, "tag", None) is not None:
            raise BadYaml("line %d has a tag, which snapshots do not have" % _line(event))
        return event

    def _value(self, event: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise BadYaml("line %d is nested too deep" % _line(event))
        kind = type(event).__name__
        if kind == "MappingStartEvent":
            return self._mapping(depth)
        if kind == "SequenceStartEvent":
            found: List[Any] = []
            while type(event := self._next()).__name__ != "SequenceEndEvent":
                found.append(self._value(event, depth + 1))
            return found
        is_plain = event.style is None
        return _WORDS.get(event.value.lower(), event.value) if is_plain else event.value

    def _mapping(self, depth: int) -> Dict[str, Any]:
        found: Dict[str, Any] = {}
        while type(event := self._next()).__name__ != "MappingEndEvent":
            if type(event).__name__ != "ScalarEvent":
                raise BadYaml("line %d has a key that is not text" % _line(event))
            if event.value in found:
                raise BadYaml("line %d has the key %.80r a second time" % (_line(event), event.value))
            found[event.value] = self._value(self._next(), depth + 1)
        return found


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
