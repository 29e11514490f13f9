"""What ran on an instance, command by command: the lines of the audit log, written on both sides, read in the service.

A command has a line when it begins and one when it has ended, so that one that outlives its runner is known too.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from app.protocol.clean_text import clean_line
from app.protocol.redaction import masked

AUDIT_LOG = "audit.log"
"""The runner's, in the run's folder; it is followed like every log."""
RUNNER, SERVICE = "runner", "service"
MAX_BYTES = 3 * 1024 * 1024
"""Of one side's file. A log of a task is kept up to 4 MiB."""
_END_ROOM = 256 * 1024
"""Beyond `MAX_BYTES`, for the ends of what has begun."""
_MAX_ARGUMENTS = 64
_MARK = "--mark="
"""An option whose value only the two sides know."""
_BETWEEN = "\x1f"
"""Space that stands in no command."""
_MAX_ARGUMENT = 300
_MAX_PATH = 500
_MAX_WORDS = 120


def now_utc(seconds: float) -> str:
    """Unix seconds as the log has them."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AuditLines:
    """Makes the lines of one side, within its bounds. Not thread-safe."""

    def __init__(self, task_id: str, by: str, size: int = 0) -> None:
        """`size`: the bytes of the lines that there are already."""
        self._task_id, self._by = task_id, by
        self._number = self._bytes = size
        self.left_out = 0
        """The commands that have no line: there were too many."""

    def begin(
        self, argv: Sequence[str], *, at: float, cwd: str, user: str, why: str
    ) -> Tuple[Optional[int], Optional[bytes]]:
        """The number and the line of a command that begins; None where there is no room for it."""
        if self.left_out:
            self.left_out += 1
            return None, None
        line = {
            "n": self._number + 1,
            "at": now_utc(at),
            "task": self._task_id,
            "by": self._by,
            "why": _cut(why, _MAX_WORDS),
            "argv": told_argv(argv),
            "cwd": _cut(masked(cwd), _MAX_PATH),
            "user": _cut(user, _MAX_WORDS),
        }
        raw = _encoded(line)
        if self._bytes + len(raw) > MAX_BYTES:
            self.left_out = 1
            return None, _encoded({"left_out": 1})
        self._number += 1
        self._bytes += len(raw)
        return self._number, raw

    def end(self, number: Optional[int], *, ended: str, status: Optional[int], seconds: float) -> Optional[bytes]:
        """The line of a command's end."""
        if number is None:
            return None
        raw = _encoded({"n": number, "ended": _cut(ended, _MAX_WORDS), "status": status, "seconds": round(seconds, 3)})
        if self._bytes + len(raw) > MAX_BYTES + _END_ROOM:
            return None
        self._bytes += len(raw)
        return raw

    def last(self) -> Optional[bytes]:
        """How many have no line, if any."""
        return _encoded({"left_out": self.left_out}) if self.left_out else None


def told_argv(argv: Sequence[str]) -> List[str]:
    """A command as the log has it: without secrets, long arguments cut."""
    told = [str(part).replace(_BETWEEN, " ") for part in argv[:_MAX_ARGUMENTS]]
    parts = [_MARK if part.startswith(_MARK) else masked(part) for part in told]
    together = masked(_BETWEEN.join(parts)).split(_BETWEEN)  # `--token`, and the token behind it
    found = [_cut(part, _MAX_ARGUMENT) for part in (together if len(together) == len(parts) else parts)]
    return [*found, "(%d more)" % (len(argv) - _MAX_ARGUMENTS)] if len(argv) > _MAX_ARGUMENTS else found


def read_commands(raw: bytes, task_id: str, by: str) -> Tuple[List[Dict[str, Any]], int]:
    """The commands of one side's file, each once, as far as they can be read; and how many have no line. What an
    instance sends may be anything."""
    found: Dict[int, Dict[str, Any]] = {}
    left_out = 0
    for value in _values(raw.splitlines()):
        number, more = _count(value.get("n")), _count(value.get("left_out"))
        left_out = max(left_out, more)
        if not number:
            continue
        if "argv" in value and number not in found:
            found[number] = _command(value, number, task_id, by)
        elif "ended" in value and number in found and found[number]["ended"] is None:
            status, seconds = value.get("status"), value.get("seconds")
            found[number]["ended"] = clean_line(str(value["ended"]), _MAX_WORDS)
            found[number]["status"] = status if isinstance(status, int) and abs(status) < 1 << 32 else None
            found[number]["seconds"] = _seconds(seconds)
    return list(found.values()), left_out


def _command(value: Mapping[str, Any], number: int, task_id: str, by: str) -> Dict[str, Any]:
    argv = value.get("argv")
    words = argv if isinstance(argv, list) else []
    return {
        "number": number,
        "at": clean_line(str(value.get("at")), 40),
        "task_id": task_id,
        "by": by,
        "why": clean_line(str(value.get("why", "")), _MAX_WORDS),
        "argv": [clean_line(str(part), _MAX_ARGUMENT + 20) for part in words[: _MAX_ARGUMENTS + 1]],
        "cwd": clean_line(str(value.get("cwd", "")), _MAX_PATH + 20),
        "user": clean_line(str(value.get("user", "")), _MAX_WORDS),
        "ended": None,
        "status": None,
        "seconds": None,
    }


def _values(lines: Iterable[bytes]) -> Iterable[Mapping[str, Any]]:
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def _count(value: object) -> int:
    return value if type(value) is int and 0 < value < 1 << 53 else 0


def _seconds(value: object) -> Optional[float]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 1e9 else None  # type: ignore[operator, arg-type]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else "%s…(+%d)" % (text[:most], len(text) - most)


def _encoded(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
