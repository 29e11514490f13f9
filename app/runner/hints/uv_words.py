"""Finds the error in the output of uv or pip, and puts it into one readable line.

Source of the formats, as printed off a terminal: uv up to 0.12 draws `× head` and `╰─▶ cause` and wraps lines, later
ones print `error: head` and `  cause: cause`; a build's output stands in indented blocks `[stdout]` and `[stderr]`.
"""

from __future__ import annotations

import re
from typing import List, Optional

from app.protocol.deciding_line import deciding_line

LONGEST = 300
_HEAD = re.compile(r"^\s*(?:error:|×|ERROR:)\s*(.*)")
_CAUSE = re.compile(r"^\s*(?:cause:|Caused by:|[├╰]─▶|[├╰]─\s)\s*(.*)")
_FRAME = re.compile(r"^[\s│]*")
_CONCLUSION = re.compile(r",? (?:we can|it can be) conclude[d]? that your requirements are unsatisfiable\.?$")
_STREAMS = frozenset({"[stdout]", "[stderr]", "--- stdout", "--- stderr"})
_HINT = re.compile(r"^\s*hint:")


def explain(output: str) -> str:
    """The last error of the output in one line of at most `LONGEST` characters; empty if there is none."""
    lines = re.split(r"\r?\n|\r", output)
    heads = [number for number, line in enumerate(lines) if _HEAD.match(line)]
    if not heads:
        return ""
    start = heads[-1]
    head = re.sub(_HEAD, r"\1", lines[start]).strip()
    parts = _parts([head, *lines[start + 1 :]])
    because = next((part for part in parts if part.startswith("Because")), None)
    if because:
        return shortened(re.sub(_CONCLUSION, ".", because))
    built = _last_of_build(lines[start + 1 :])
    last = built or (parts[-1] if len(parts) > 1 else "")
    return shortened("%s: %s" % (parts[0].rstrip(":."), last) if last else parts[0])


def _parts(lines: List[str]) -> List[str]:
    """The error's head and its causes, up to the first empty line."""
    parts = [lines[0]]
    for line in lines[1:]:
        cause = _CAUSE.match(line)
        text = re.sub(_FRAME, "", line).strip()
        if cause:
            parts.append(cause.group(1).strip())
        elif not text or _HINT.match(line):
            break
        else:
            parts[-1] += " " + text
    return parts


def _last_of_build(lines: List[str]) -> Optional[str]:
    """The deciding line of a build's output: Meson and others print it to stdout."""
    marks = [number for number, line in enumerate(lines) if line.strip(" │") in _STREAMS]
    if not marks:
        return None
    said = []
    for line in lines[marks[0] + 1 :]:
        if _HINT.match(line):
            break
        said.append(line)
    return deciding_line("\n".join(said)) or None


def shortened(text: str) -> str:
    """At most `LONGEST` characters, cut between words."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 2].rsplit(" ", 1)[0] + " …"
