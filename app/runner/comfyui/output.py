"""What ComfyUI prints while it imports packs: its table of import times, and why an import failed.

Source: nodes.py and main.py of ComfyUI (`load_custom_node`, `init_external_custom_nodes`). Newer versions colour their
lines and put a level before each; terminals and log files add carriage returns and times.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence

from app.protocol.deciding_line import only_tells_of_another
from app.runner.comfyui.crash_stacks import packs_in_stack

_ANSI = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_PREFIX = re.compile(
    r"^(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.,]*(?:Z|[+-]\d\d:?\d\d)?\]?:? )?"
    r"(?:\[(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\] ?)?"
)
_TABLE = "Import times for custom nodes:"
_ROW = re.compile(r"^\s*(\d+\.\d+) seconds( \(IMPORT FAILED\))?: (.+?)\s*$")
_CANNOT = re.compile(r"^Cannot import (.+?) module for custom nodes:(?: (.*))?$")
_SKIP = re.compile(r"^Skip (.+?) module for custom nodes (due to the lack of .*)$")
_ENTRYPOINT = re.compile(
    r"^(?:Error while calling comfy_entrypoint in (?P<path>.+?): (?P<error>.*)"
    r"|comfy_entrypoint in (?P<other>.+?) (?P<wrong>is not callable|did not return .*), skipping\.)$"
)
_PRESTARTUP = re.compile(r"^Failed to execute startup-script: (.+)/prestartup_script\.py /(?: (.*))?$")
_PRESTARTUP_ROW = re.compile(r"^\s*\d+\.\d+ seconds \(PRESTARTUP FAILED\): (.+?)\s*$")
_TRYING = re.compile(r"^Trying to load custom node (.+?)\s*$")
_TRACEBACK = "Traceback (most recent call last):"
MESSAGE_CHARS = 400
_LINES_BEFORE = 15
"""What a program that the pack called has printed stands before the traceback that only says that it failed."""


@dataclass(frozen=True)
class Import:
    """The verdict of one pack's import. `message` is the traceback's last line, `text` all that was printed of it."""

    path: str
    seconds: float
    good: bool
    message: str = ""
    text: str = ""
    no_nodes: bool = False
    """It ran through, but ComfyUI found no nodes in it."""
    prestartup: str = ""
    """Why its prestartup_script.py failed, which ComfyUI tells and goes on; empty where it did not."""


@dataclass(frozen=True)
class _Failure:
    message: str
    text: str
    no_nodes: bool = False


def plain_lines(output: str) -> List[str]:
    """The lines without colours, levels and times; a carriage return ends a line too."""
    return [_PREFIX.sub("", line, count=1) for line in re.split(r"\r\n|\r|\n", _ANSI.sub("", output))]


def last_words(output: str) -> str:
    """The last line that it printed itself, Python's report of a crash left out; empty when it printed none."""
    lines = [line.strip() for line in plain_lines(output)]
    fatal = next((number for number, line in enumerate(lines) if line.startswith("Fatal Python error: ")), len(lines))
    return next(filter(None, reversed(lines[:fatal])), "")


def imports_of(output: str) -> Optional[Dict[str, Import]]:
    """The imports by path; None when there is no table: ComfyUI did not get to its end."""
    lines = plain_lines(output)
    titles = [number for number, line in enumerate(lines) if line.strip() == _TABLE]
    if not titles:
        return None
    failures, prestartup = _failures(lines), _prestartup(lines)
    rows = [row for row in map(_ROW.match, lines[titles[-1] + 1 :]) if row]
    found = [_import(row.group(3), float(row.group(1)), not row.group(2), failures) for row in rows]
    return {each.path: replace(each, prestartup=prestartup.get(each.path, "")) for each in found}


def by_entry(imports: Mapping[str, Import], custom_nodes: Path, others: Sequence[Path] = ()) -> Dict[str, Import]:
    """The imports of this folder's entries by their names, and of those that only `others` have: ComfyUI may load packs
    from several folders. What is in none of them is left out."""
    found: Dict[str, Import] = {}
    for root in (os.path.realpath(str(folder)) for folder in (custom_nodes, *others)):
        for path, each in imports.items():
            if os.path.realpath(os.path.dirname(path)) == root:
                found.setdefault(os.path.basename(path), each)
    return found


def _import(path: str, seconds: float, good: bool, failures: Dict[str, _Failure]) -> Import:
    if good:
        return Import(path, seconds, good)
    failure = failures.get(path) or _Failure("ComfyUI does not say why.", "")
    return Import(path, seconds, good, failure.message, failure.text, failure.no_nodes)


def _failures(lines: Sequence[str]) -> Dict[str, _Failure]:
    """By path. What is printed between one failure and the next belongs to the next from its first traceback on."""
    found: Dict[str, _Failure] = {}
    begin = 0
    for number, line in enumerate(lines):
        cannot, skip, entrypoint = _CANNOT.match(line), _SKIP.match(line), _ENTRYPOINT.match(line)
        if cannot:
            block = _from_traceback(lines[begin:number])
            message = _last_line_of(block) or (cannot.group(2) or "").strip() or "ComfyUI does not say why."
            before = lines[begin : number - len(block)][-_LINES_BEFORE:] if only_tells_of_another(message) else ()
            text = "\n".join([*before, *block, line])
            found[cannot.group(1)] = _Failure(message[:MESSAGE_CHARS], text)
        elif skip:
            message = "It has no nodes: %s" % skip.group(2)
            found[skip.group(1)] = _Failure(message[:MESSAGE_CHARS], line, no_nodes=True)
        elif entrypoint:
            message = "Its comfy_entrypoint %s" % (entrypoint["wrong"] or "failed: %s" % entrypoint["error"])
            found[entrypoint["path"] or entrypoint["other"]] = _Failure(message[:MESSAGE_CHARS], message)
        if cannot or skip or entrypoint:
            begin = number + 1
    return found


def _prestartup(lines: Sequence[str]) -> Dict[str, str]:
    """By path of the pack: what its prestartup_script.py raised."""
    rows = [row for row in map(_PRESTARTUP_ROW.match, lines) if row]
    told = [found for found in map(_PRESTARTUP.match, lines) if found]
    words = {row.group(1): "ComfyUI does not say why." for row in rows}
    words.update({found.group(1): (found.group(2) or "").strip()[:MESSAGE_CHARS] or "no words" for found in told})
    return words


def _from_traceback(lines: Sequence[str]) -> Sequence[str]:
    starts = [number for number, line in enumerate(lines) if line.strip() == _TRACEBACK]
    return lines[starts[0] :] if starts else ()


def _last_line_of(block: Sequence[str]) -> str:
    """The exception as the traceback names it: the first line after the last frames that is not indented. A message of
    several lines goes on behind it."""
    starts = [number for number, line in enumerate(block) if line == _TRACEBACK]
    for line in block[starts[-1] + 1 :] if starts else ():
        if line.strip() and not line[0].isspace():
            return line.strip()
    return ""


def suspect(output: str, names: Sequence[str]) -> Optional[str]:
    """Who was being imported when ComfyUI came down, as far as its output tells: the pack that it tried last, else
    the one in Python's own report of a crash. `names`: the entries of custom_nodes."""
    lines = plain_lines(output)
    for line in reversed(lines):
        trying = _TRYING.match(line)
        if trying:
            name = trying.group(1).rpartition("/")[2]
            return name if name in names else None
    return _in_last_report(lines, names)


def hanging_in(output: str, names: Sequence[str]) -> Optional[str]:
    """The pack whose import ComfyUI stood in when it was aborted, when its stack names one and no other."""
    inside = packs_in_stack(plain_lines(output), names)
    return inside[0] if len(inside) == 1 else None


def _in_last_report(lines: Sequence[str], names: Sequence[str]) -> Optional[str]:
    """The innermost pack of a fatal error's stack; the last one of a traceback that nobody caught."""
    inside = packs_in_stack(lines, names)
    if inside:
        return inside[0]
    starts = [number for number, line in enumerate(lines) if line.strip() == _TRACEBACK]
    if not starts:
        return None
    if any(_CANNOT.match(line) for line in lines[starts[-1] :]):
        return None  # that one was caught and told
    return next((name for name in map(_pack_in, reversed(lines[starts[-1] :])) if name in names), None)


def _pack_in(line: str) -> Optional[str]:
    found = re.search(r'File ".*?/custom_nodes/([^/"]+)', line)
    return found.group(1) if found else None
