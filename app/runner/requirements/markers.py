"""Whether a requirement's marker (`; python_version < "3.10"`) holds in ComfyUI's interpreter.

Source: PEP 508. An `extra` never holds: whether a package was asked for with its extras is not on record.
"""

from __future__ import annotations

import re
from typing import List, Mapping, Optional

from app.runner.requirements.versions import satisfies

_TOKEN = re.compile(r"""\s*(?:(\(|\)|===|==|!=|<=|>=|~=|<|>)|(not\s+in|in|and|or)\b|([a-z_.]+)|"([^"]*)"|'([^']*)')""")
_VERSIONS = frozenset({"python_version", "python_full_version", "implementation_version", "platform_release"})
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def holds(marker: str, environ: Mapping[str, str]) -> Optional[bool]:
    """Whether it holds; None when that cannot be said. `environ`: the marker's names and their values."""
    try:
        parser = _Parser(marker, environ)
        found = parser.either()
        return found if parser.at_end else None
    except (ValueError, IndexError):
        return None


class _Parser:
    """Reads a marker from left to right. Raises ValueError or IndexError for what is none."""

    def __init__(self, marker: str, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._tokens = _tokens(marker)
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._tokens)

    def either(self) -> bool:
        """One or more of them, joined by `or`."""
        found = self.both()
        while self._takes("or"):
            found = self.both() or found
        return found

    def both(self) -> bool:
        """One or more of them, joined by `and`."""
        found = self._one()
        while self._takes("and"):
            found = self._one() and found
        return found

    def _one(self) -> bool:
        if self._takes("("):
            found = self.either()
            if not self._takes(")"):
                raise ValueError("a parenthesis is open")
            return found
        return self._compared(self._next(), re.sub(r"\s+", " ", self._next()), self._next())

    def _compared(self, left: str, how: str, right: str) -> bool:
        if "extra" in (left, right):
            return False
        if left.startswith('"'):
            left, how, right = right, _TURNED.get(how, how), left
            if how in ("in", "not in"):
                return (right[1:] in self._environ[left]) is (how == "in")
        if left not in self._environ or not right.startswith('"'):
            raise ValueError("an unknown name")
        value, wanted = self._environ[left], right[1:]
        if how in ("in", "not in"):
            return (value in re.split(r"[,\s]+", wanted) if left in _VERSIONS else value in wanted) is (how == "in")
        known = satisfies(value, how + wanted) if left in _VERSIONS else None
        return known if known is not None else _as_text(value, how, wanted)

    def _takes(self, word: str) -> bool:
        if self.at_end or self._tokens[self._at] != word:
            return False
        self._at += 1
        return True

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]


def _as_text(value: str, how: str, wanted: str) -> bool:
    if how in ("==", "==="):
        return value == wanted
    if how == "!=":
        return value != wanted
    raise ValueError("text is not ordered")


def _tokens(marker: str) -> List[str]:
    """Names and operators as they are, texts with a quote before them."""
    found: List[str] = []
    at = 0
    while marker[at:].strip():
        match = _TOKEN.match(marker, at)
        if not match:
            raise ValueError("no marker")
        text = match.group(4) if match.group(4) is not None else match.group(5)
        found.append('"' + text if text is not None else next(filter(None, match.groups())))
        at = match.end()
    return found
