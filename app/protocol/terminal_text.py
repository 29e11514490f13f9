"""Text from elsewhere as a terminal may have it: shown, never obeyed.

Whatever Python calls printable stays: letters, digits, signs, the space. All else steers something: escape sequences
and controls the terminal, bidirectional marks the order of what is read, line separators what a line says.
"""

from __future__ import annotations

import json
import re
from typing import Optional, Tuple

_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)")
_RETURN = re.compile(r"\r+(\n?)")


def one_line(text: object) -> str:
    """`text` in one line; empty for None. What is not printable becomes a question mark, or a space for a space."""
    known = "" if text is None else str(text)
    return known if known.isprintable() else "".join(["?" if _steers(each) else _spaced(each) for each in known])


def many_lines(text: str) -> str:
    """A log's `text`, its lines and tabs kept, without colours and whatever else is not printable. A line that was
    drawn again (by a carriage return) is a line of its own, so that nothing is hidden below it."""
    whole = _RETURN.sub("\n", _SEQUENCE.sub("", text))
    return "\n".join([line if line.isprintable() else _without_controls(line) for line in whole.split("\n")])


def without_sequences(text: str) -> str:
    """`text` without the sequences that steer a terminal, such as its colours."""
    return _SEQUENCE.sub("", text) if "\x1b" in text else text


def json_text(value: object, *, indent: Optional[int] = None, separators: Optional[Tuple[str, str]] = None) -> str:
    """JSON that is ASCII without controls: `cat` and curl write it to terminals. Raises ValueError for NaN."""
    text = json.dumps(value, indent=indent, separators=separators, allow_nan=False)
    return text.replace("\x7f", "\\u007f")


def _without_controls(line: str) -> str:
    return "".join([each if each == "\t" else _spaced(each) for each in line if each == "\t" or not _steers(each)])


def _steers(letter: str) -> bool:
    return not letter.isprintable() and not letter.isspace()


def _spaced(letter: str) -> str:
    return letter if letter.isprintable() else " "
