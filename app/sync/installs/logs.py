"""The logs of tasks, as far as they have come from their instances. Opens no connection."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from app.domain.errors import InvalidRequest, LogNotFound
from app.protocol.audit import AUDIT_LOG, RUNNER, SERVICE, read_commands
from app.protocol.counts import has_problem
from app.protocol.log_names import NODES_FOLDER, is_log_name, node_log
from app.protocol.redaction import masked_part
from app.protocol.snapshot import Problem, Snapshot
from app.protocol.states import NodeState
from app.storage.command_audit import CommandAudits
from app.storage.log_files import ANEW, FILE_BYTES, Logs
from app.sync.installs.log_lines import (
    SEARCH_SECONDS,
    deciding_number,
    deciding_of_run,
    found_lines,
    line_and_lines,
    start_of,
)
from app.sync.installs.service import Installs

RUN = "run"
_MOST_REASONS = 10
"""So many packs' reasons are looked for in a log of the whole run."""
_AROUND_BYTES = 8 * 1024
"""So much beside a part of a log is looked at: a secret that begins or ends there is masked in the part too."""


@dataclass(frozen=True, slots=True)
class LogRange:
    """What is wanted of which log: `limit` bytes from byte `offset` or line `line` on, or the last ones before line
    `before`; a line behind the end is the end. `deciding`: also which line decided a failure."""

    limit: int
    log: str = RUN
    node: str | None = None
    offset: int = 0
    line: int | None = None
    before: int | None = None
    deciding: bool = False


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of one log. `complete`: nothing more will come behind `size`; `line`: the number of the line that `offset`
    is in; `lines`: how many there are; `deciding_line`: the number of the one that decided the failure that the log
    is about."""

    log: str
    node: str | None
    offset: int
    next_offset: int
    size: int
    complete: bool
    text: str
    line: int
    lines: int
    deciding_line: int | None


class TaskLogs:
    """Every method may be called from any thread. Raises StorageError when the disk fails."""

    def __init__(self, installs: Installs, files: Logs, audits: CommandAudits) -> None:
        self._installs = installs
        self._files = files
        self._audits = audits

    def read(self, task_id: str, wanted: LogRange) -> LogPart:
        """At most `limit` bytes, whole characters. What was read before its instance wrote more is read on at
        `next_offset`. Raises TaskNotFound, LogNotFound, InvalidRequest."""
        status = self._installs.status(task_id)
        log, node = wanted.log, wanted.node
        name = self._file_name(status.snapshot, log, node)
        complete = status.ended and not self._files.is_written(task_id)  # before the size is looked at
        offset, limit = self._place(task_id, name, wanted)
        raw, size = self._files.read(task_id, name, offset, limit)
        if offset > size:
            raise InvalidRequest(f"offset is {offset}, but the log has only {size} bytes.", field="offset")
        if not (complete and offset + len(raw) == size):
            raw = whole_characters(raw)
        return LogPart(
            log if node is None else "node",
            node,
            offset,
            offset + len(raw),
            size,
            complete,
            self._text(task_id, name, offset, len(raw)),
            *line_and_lines(self._files.blocks(task_id, name), offset),
            self._deciding(status.snapshot, name, node) if wanted.deciding else None,
        )

    def search(self, task_id: str, text: str, *, log: str | None, node: str | None, limit: int) -> dict[str, Any]:
        """The first `limit` lines that have `text`, in any case, of one log or of all. `complete`: there are no more.
        Raises TaskNotFound, LogNotFound."""
        deadline = time.monotonic() + SEARCH_SECONDS
        snapshot = self._installs.status(task_id).snapshot
        if log is None and node is None:
            logs = [(row["log"], row["node"]) for row in self.listed(task_id)]
        else:
            logs = [(log or RUN, None) if node is None else ("node", node)]
        matches: list[dict[str, Any]] = []
        for log_name, node_name in logs:
            name = self._file_name(snapshot, log_name, node_name)
            for found in found_lines(self._files.blocks(task_id, name), text, deadline):
                if found is None or len(matches) == limit:
                    return {"matches": matches, "complete": False}
                matches.append({"log": log_name, "node": node_name, "line": found.line, "text": found.text})
        return {"matches": matches, "complete": True}

    def listed(self, task_id: str) -> list[dict[str, Any]]:
        """The logs that are here: the run's own, then those of node packs in the manifest's order."""
        sizes = self._files.sizes(task_id)
        own = [name for name in sizes if not name.startswith(f"{NODES_FOLDER}/")]
        own.sort(key=lambda name: (name != f"{RUN}.log", name))
        found: list[dict[str, Any]] = [
            {"log": name.removesuffix(".log"), "node": None, "size": sizes[name]} for name in own
        ]
        logs = [(name, sizes.get(node_log(name))) for name in self._installs.status(task_id).snapshot.nodes]
        return found + [{"log": "node", "node": name, "size": size} for name, size in logs if size is not None]

    def audit(self, task_id: str, *, offset: int = 0, limit: int) -> dict[str, Any]:
        """The commands that ran on the instance for a task, the service's and the runner's, by their times. A runner
        that was killed has not said how its last ones ended. Raises TaskNotFound, InvalidRequest."""
        status = self._installs.status(task_id)
        complete = status.ended and not self._files.is_written(task_id)  # before the files are looked at
        raw, _ = self._files.read(task_id, AUDIT_LOG, 0, FILE_BYTES + 4096)
        raw = raw.rpartition(ANEW)[2]  # what a script had written into it was sent, too
        runners, lost = read_commands(raw, task_id, RUNNER)
        own, more = read_commands(self._audits.read(task_id), task_id, SERVICE)
        found = sorted([*own, *runners], key=lambda command: str(command["at"]))
        if offset > len(found):
            raise InvalidRequest(f"offset is {offset}, but there are only {len(found)} commands.", field="offset")
        return {
            "commands": found[offset : offset + limit],
            "offset": offset,
            "total": len(found),
            "left_out": lost + more,
            "complete": complete,
        }

    def _place(self, task_id: str, name: str, wanted: LogRange) -> tuple[int, int]:
        """Where to read, and how many bytes at most: what ends before a line begins where its own first line does."""
        if wanted.before is not None:
            end = start_of(self._files.blocks(task_id, name), wanted.before)
            begin = max(0, end - wanted.limit)
            raw, _ = self._files.read(task_id, name, begin, end - begin)
            begin += raw.find(b"\n", 0, -1) + 1 if begin else 0
            return begin, end - begin
        if wanted.line is not None:
            return start_of(self._files.blocks(task_id, name), wanted.line), wanted.limit
        return wanted.offset, wanted.limit

    def _text(self, task_id: str, name: str, offset: int, length: int) -> str:
        """A part of a log. Nobody puts a secret together out of parts that each have a piece of it."""
        begin = max(0, offset - _AROUND_BYTES)
        raw, _ = self._files.read(task_id, name, begin, offset - begin + length + _AROUND_BYTES)
        return masked_part(raw, offset - begin, offset - begin + length).decode("utf-8", "replace")

    def _deciding(self, snapshot: Snapshot, name: str, node: str | None) -> int | None:
        """The number of the line that the reason of the log's node pack comes from; in a log of the whole run that of
        its own reason, else of the first pack that failed."""
        problem = None if node is None else snapshot.nodes[node].error
        reasons = [each.message for each in _reasons_of(snapshot)] if node is None else []
        if problem is None and not reasons:
            return None
        text = b"".join(self._files.blocks(snapshot.task_id, name)).decode("utf-8", "replace")
        return (
            deciding_number(text, problem.message)
            if problem
            else deciding_of_run(text, reasons, has_failed=bool(snapshot.error))
        )

    def _file_name(self, snapshot: Snapshot, log: str, node: str | None) -> str:
        if node is not None:
            if node not in snapshot.nodes:
                raise LogNotFound(f"The task has no node pack {node[:200]!r}.", field="node")
            return node_log(node)
        name = f"{log}.log"
        if log != RUN and (not is_log_name(name) or "/" in log or name not in self._files.sizes(snapshot.task_id)):
            raise LogNotFound(f"The task has no log {log[:200]!r} (yet).", field="log")
        return name


def _reasons_of(snapshot: Snapshot) -> list[Problem]:
    """Why the run failed, then why its packs did."""
    failed = [node.error for node in snapshot.nodes.values() if node.state is NodeState.FAILED or has_problem(node)]
    return [problem for problem in (snapshot.error, *failed[:_MOST_REASONS]) if problem is not None]


def whole_characters(raw: bytes) -> bytes:
    """`raw` without the beginning of a UTF-8 character at its end that is not all there."""
    for back in range(1, min(4, len(raw) + 1)):
        byte = raw[-back]
        if byte & 0xC0 != 0x80:
            needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return raw[:-back] if needed > back else raw
    return raw
