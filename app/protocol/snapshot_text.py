"""The file of a snapshot or lock as a value: JSON, JSON with what people leave in it, or YAML; in the encodings that
editors and shells write (PowerShell's `>` writes UTF-16)."""

from __future__ import annotations

import codecs
import json
import re
from math import isfinite
from typing import Any, Dict, List, NoReturn, Tuple

from app.protocol.yaml_text import BadYaml, parse_yaml, put_twice

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_TEXT = r'"(?:[^"\\]|\\.?)*(?:"|\Z)'
"""In quotes, also one that is never closed: that must not be looked at again from each of its characters."""
_TEXT_OR_COMMENT = re.compile(_TEXT + r"|//[^\n]*|/\*[^*]{0,2000}\*/", re.DOTALL)
_TEXT_OR_LAST_COMMA = re.compile(_TEXT + r"|,(?=\s*[}\]])", re.DOTALL)
_VALUE_AND_BREAK = re.compile(r"(?:%s|[}\]]|true|false|null|\d)([ \t]*\r?\n\s*(?=\"))?" % _TEXT, re.DOTALL)


def decoded(raw: bytes) -> str:
    """The text of a file. Its mark decides; UTF-16 without one is known by its zero bytes; all else is UTF-8, where a
    byte that is none spoils only its own entry."""
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "replace")
    if raw[1:2] == b"\0" or raw[:1] == b"\0":
        return raw.decode("utf-16-be" if raw[:1] == b"\0" else "utf-16-le", "replace")
    return raw.decode("utf-8", "replace")


def load(text: str) -> Tuple[Any, List[str]]:
    """The value of a text, and its keys that stand twice with different values: the later one counts. Raises ValueError
    naming the place, RecursionError for what is nested too deep."""
    twice: List[str] = []
    text = text.lstrip("\ufeff").rstrip("\0")
    if not text.lstrip().startswith(("{", "[", "//", "/*")):
        return parse_yaml(text, twice), twice
    try:
        return _json(text, twice), twice
    except json.JSONDecodeError as exc:
        found = exc
    twice.clear()
    try:
        return _json(_without_leftovers(text), twice), twice
    except json.JSONDecodeError:
        twice.clear()
    try:
        return parse_yaml(text, twice), twice
    except BadYaml:
        raise ValueError("line %d, column %d: %s" % (found.lineno, found.colno, found.msg)) from None


def _json(text: str, twice: List[str]) -> Any:
    def pairs(items: List[Tuple[str, Any]]) -> Dict[str, Any]:
        found: Dict[str, Any] = {}
        for key, value in items:
            if key in found:
                put_twice(found, key, value, twice)
            else:
                found[key] = value
        return found

    return json.loads(text, object_pairs_hook=pairs, parse_constant=_no_number, parse_float=_float, strict=False)


def _float(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError("%.40s is no number that JSON has" % text)


def _without_leftovers(text: str) -> str:
    """Without comments and the comma after the last entry, and with the one that was forgotten at the end of a line;
    what stands in quotes stays."""
    for pattern in (_TEXT_OR_COMMENT, _TEXT_OR_LAST_COMMA):
        text = pattern.sub(lambda found: found.group() if found.group().startswith('"') else "", text)
    return _VALUE_AND_BREAK.sub(lambda found: found.group() + "," if found.group(1) else found.group(), text)
