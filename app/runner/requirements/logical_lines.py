"""The logical lines of a requirements file, by pip's own rules: continuations, comments, environment variables.

Source of the rules: `preprocess` of pip's `req_file.py`. Beyond pip, spaces of other kinds (tabs, the unbreakable ones
of web pages) count as spaces, and invisible characters are dropped.
"""

from __future__ import annotations

import re
from typing import Iterator, List, Mapping, NamedTuple, Tuple

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_SPACES = re.compile(r"[\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_INVISIBLE = re.compile(r"[\u200b-\u200d\u2060\ufeff\u00ad]")
_ADDRESS = re.compile(r"(?:https?|ssh|git)://", re.IGNORECASE)
_LONGEST_VALUE = 1000


class LogicalLine(NamedTuple):
    """`number`: of its first line in the file, from 1."""

    number: int
    text: str


def logical_lines(text: str, environ: Mapping[str, str]) -> Iterator[LogicalLine]:
    """The lines that say something. `environ`: the variables that `${NAME}` stands for; in an address it is left for
    the installer, which knows it too, so that a token is not in any message."""
    for number, joined in _joined(text.splitlines()):
        line = re.sub(_INVISIBLE, "", re.sub(_SPACES, " ", re.sub(_COMMENT, "", joined))).strip()
        if line:
            yield LogicalLine(number, line if _ADDRESS.search(line) else _expanded(line, environ))


def _joined(lines: List[str]) -> Iterator[Tuple[int, str]]:
    """A line that ends with a backslash goes on in the next one, unless that is a comment."""
    parts: List[str] = []
    first = 0
    for number, line in enumerate(lines, 1):
        is_comment = line.lstrip().startswith("#")
        first = first or number
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        yield first, "".join([*parts, (" " if is_comment else "") + line])
        parts, first = [], 0
    if parts:
        yield first, "".join(parts)


def _expanded(line: str, environ: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        known = environ.get(found.group(1), "")
        return known if known and known.isprintable() and len(known) <= _LONGEST_VALUE else found.group(0)

    return re.sub(_VARIABLE, value, line)
