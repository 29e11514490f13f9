"""The part of YAML that ComfyUI-Manager's snapshots use: nested mappings, lists, and scalars of one line. All else is
refused, rather than guessed."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Tuple

_LINE = re.compile(r"^( *)(.*?)\s*$")
_QUOTED_KEY = re.compile(r"^('(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\")\s*:(?:\s+(.*))?$")
_PLAIN_KEY = re.compile(r"^([^\s'\"\[\]{}#&*!|>%@`?-][^#]*?|-[^\s].*?)\s*:(?:\s+(.*))?$")
_UNKNOWN = re.compile(r"^[&*!|>%@`?\[{]")
_WORDS: Dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False, "{}": {}, "[]": []}
_DEEPEST = 20
_LONGEST = 1000
"""Characters of a line; what snapshots have is far shorter, and matching takes the square of it."""
_Line = Tuple[int, str, int]


class BadYaml(ValueError):
    """The text is not of this part of YAML."""


def parse_yaml(text: str) -> Any:
    """The value of a document. Scalars other than true, false, null and numbers of digits are text. Raises BadYaml
    naming the line."""
    lines: List[_Line] = []
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        if len(raw) > _LONGEST:
            raise BadYaml("line %d is longer than %d characters" % (number, _LONGEST))
        found = _LINE.match(raw)
        indent, content = (len(found.group(1)), found.group(2)) if found else (0, raw)
        if content and not content.startswith("#") and content not in ("---", "..."):
            lines.append((indent, content, number))
    value, rest = _block(lines, 0, 0)
    if rest != len(lines):
        raise BadYaml("line %d is not indented as it should be" % lines[rest][2])
    return value


def _block(lines: List[_Line], at: int, depth: int) -> Tuple[Any, int]:
    """The block that begins at that line, and the line behind it."""
    if at >= len(lines):
        return None, at
    if depth > _DEEPEST:
        raise BadYaml("line %d is nested too deep" % lines[at][2])
    indent, content, _ = lines[at]
    return _list(lines, at, indent, depth) if content.startswith("- ") else _mapping(lines, at, indent, depth)


def _mapping(lines: List[_Line], at: int, indent: int, depth: int) -> Tuple[Dict[str, Any], int]:
    found: Dict[str, Any] = {}
    while at < len(lines) and lines[at][0] == indent and not lines[at][1].startswith("- "):
        key, rest = _key(lines[at])
        if key in found:
            raise BadYaml("line %d has the key %.80r a second time" % (lines[at][2], key))
        number, at = lines[at][2], at + 1
        if rest:
            found[key] = _scalar(rest, number)
        elif at < len(lines) and (lines[at][0] > indent or (lines[at][0] == indent and lines[at][1].startswith("- "))):
            found[key], at = _block(lines, at, depth + 1)
        else:
            found[key] = None
    return found, at


def _list(lines: List[_Line], at: int, indent: int, depth: int) -> Tuple[List[Any], int]:
    found: List[Any] = []
    while at < len(lines) and lines[at][0] == indent and lines[at][1].startswith("- "):
        _, content, number = lines[at]
        inner = content[2:].lstrip()
        if _QUOTED_KEY.match(inner) or _PLAIN_KEY.match(inner):
            lines[at] = (indent + len(content) - len(inner), inner, number)
            value, at = _block(lines, at, depth + 1)
        else:
            value, at = _scalar(inner, number), at + 1
        found.append(value)
    return found, at


def _key(line: _Line) -> Tuple[str, str]:
    found = _QUOTED_KEY.match(line[1]) or _PLAIN_KEY.match(line[1])
    if not found:
        raise BadYaml("line %d is not `key: value`" % line[2])
    return str(_scalar(found.group(1), line[2], key=True)), found.group(2) or ""


def _scalar(text: str, number: int, *, key: bool = False) -> Any:
    if text.startswith("'") and text.endswith("'") and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text.startswith('"'):
        try:
            return json.loads(text)
        except ValueError:
            raise BadYaml("line %d has a string that cannot be read" % number) from None
    if key:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _UNKNOWN.match(text):
        raise BadYaml("line %d uses something that snapshots do not have" % number)
    text_only = re.sub(r"\s+#.*$", "", text)
    return int(text_only) if re.match(r"^(?:0|[1-9][0-9]{0,17})$", text_only) else text_only
