"""What must be so when a run has ended, whatever happened to it: its end, its record, and what it left."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.protocol import progress_json
from app.protocol.events import RunEnded
from app.protocol.reducer import reduce
from app.runner.process.locks import is_locked
from app.standin.processes import all_processes, command_line
from bench.chaos.stage import Stage
from test.support.service import TERMINAL, essence

Json = Mapping[str, Any]
GOOD = frozenset({"installed", "verified"})
GONE_SECONDS = 15.0
"""How long what was started for a run may take to be gone after its end."""
_NOT_SHOWN_TWICE = ("kept", "verified", "state", "status")


def end_of(last: Json, reference: Json, ends: frozenset[str]) -> tuple[str, list[str]]:
    """`equal`, or `failed` for another end that this fault may have; what is wrong with it."""
    found = essence(dict(last))
    if found == reference:
        return "equal", []
    codes = _codes(last)
    if last["state"] == "failed":
        return "failed", [] if codes[""] in ends else [f"failed with {codes['']}: {_words(last)}"]
    if last["state"] != "completed":
        return "failed", [f"ended as {last['state']}"]
    usual = {row["name"]: row for row in reference["nodes"]}
    wrong = [text for row in found["nodes"] if (text := _row_fault(row, usual.get(row["name"]), ends))]
    if not ends or {row["name"] for row in found["nodes"]} != set(usual):
        wrong.append(f"not as without a fault: {found}")
    return "failed", wrong


def merged(first: Json, again: Json, reference: Json) -> list[str]:
    """A retry brings about what a run without a fault has: the packs that were good, and those that it repeated."""
    rows = {row["name"]: row for row in [*essence(dict(first))["nodes"], *essence(dict(again))["nodes"]]}
    usual = {row["name"]: row for row in reference["nodes"]}
    if set(rows) != set(usual):
        return [f"after a retry there are {sorted(rows)}"]
    return [text for name, row in rows.items() if (text := _row_fault(row, usual[name], frozenset()))]


def _row_fault(row: Json, usual: Json | None, ends: frozenset[str]) -> str:
    """What is wrong with a pack's row; a good pack of a run that could not verify it any more is good."""
    if usual is None:
        return f"{row['name']} is not in the manifest"
    if row["error"] in ends and row["state"] == "failed":
        return ""
    same = all(row[name] == usual[name] for name in usual if name not in _NOT_SHOWN_TWICE)
    alike = row["state"] in GOOD if usual["state"] in GOOD else row["state"] == usual["state"]
    return "" if same and alike else f"{row['name']} is {dict(row)}, not {dict(usual)}"


def _codes(last: Json) -> dict[str, str | None]:
    """The error codes: the run's under an empty name, and the packs'."""
    rows = [("", last["error"]), *((row["name"], row["error"]) for row in last["nodes"])]
    return {name: (error or {}).get("code") for name, error in rows}


def _words(last: Json) -> str:
    return str((last["error"] or {}).get("message"))[:300]


# -- the instance ----------------------------------------------------------------------------------------------------


def on_instance(stage: Stage, last: Json, reference: Json, *, strict: bool) -> Iterator[str]:
    """What is wrong there. `strict`: custom_nodes has the good packs and nothing else; otherwise (a run that could not
    end well) a pack that is not called good may be there too, whole."""
    commits = {row["name"]: row["commit"] for row in reference["nodes"] if row["commit"]}
    there = {path.name for path in stage.standin.custom_nodes.iterdir() if path.is_dir()} - {"__pycache__"}
    told = {row["name"]: row for row in last["nodes"] if row["state"] in GOOD}
    yield from (f"{name} is told as good and is not there" for name in sorted(set(told) - there))
    if strict and there - set(told):
        yield f"custom_nodes has {sorted(there - set(told))} besides"
    for name in sorted(there):
        head, changes = _git(stage.standin.custom_nodes / name)
        if name not in commits:
            yield f"custom_nodes has {name}"
        elif head != commits[name]:
            yield f"{name} is at {head}"
        elif name in told and told[name]["commit"] != head:
            yield f"{name} is told to be at {told[name]['commit']}"
        elif changes:
            yield f"{name} is not whole: {changes[:200]}"


def left_on_instance(stage: Stage, task_id: str, seconds: float = GONE_SECONDS) -> list[str]:
    """Processes, staged folders, held locks and drafts that are left of a task, after at most `seconds`."""
    deadline = time.monotonic() + seconds
    pause = pauses()
    while (left := _left(stage, task_id)) and time.monotonic() < deadline:
        next(pause)
    return left


def _left(stage: Stage, task_id: str) -> list[str]:
    left = [f"process: {command_line(process)}" for process in all_processes() if _is_of(process.pid, task_id)]
    left += [f"staged: {path.name}" for path in stage.standin.custom_nodes.glob(".nodeferry*")]
    state = stage.state_of(task_id)
    locks = [path for path in [state / "lock", *(state.parent / "locks").glob("*.lock")] if path.exists()]
    left += [f"lock: {path.name}" for path in locks if is_locked(path)]
    left += [f"draft: {path.name}" for path in state.glob("*.tmp")]
    return left


def _is_of(pid: int, task_id: str) -> bool:
    wanted = task_id.encode("ascii")
    try:
        proc = Path("/proc") / str(pid)
        return wanted in (proc / "cmdline").read_bytes() or wanted in (proc / "environ").read_bytes()
    except OSError:
        return False


def _git(folder: Path) -> tuple[str, str]:
    argv = ["git", "-c", "safe.directory=*", "-C", str(folder)]
    asked = (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    head, changes = (
        subprocess.run([*argv, *words], capture_output=True, text=True, timeout=60, check=False) for words in asked
    )
    return head.stdout.strip(), (changes.stdout + changes.stderr).strip()


# -- the service -----------------------------------------------------------------------------------------------------


def record_faults(stage: Stage, last: Json, seconds: float = GONE_SECONDS) -> list[str]:
    """What is wrong with the task's record and with the folding of its journal, after at most `seconds`."""
    deadline = time.monotonic() + seconds
    pause = pauses()
    while (wrong := list(_record_faults(stage, last))) and time.monotonic() < deadline:
        next(pause)
    return wrong


def _record_faults(stage: Stage, last: Json) -> Iterator[str]:
    query = "SELECT state, revision, journal_offset, journal_seq, lease_owner FROM installs WHERE task_id = :of"
    with stage.database() as connection:
        state, revision, offset, seq, owner = connection.execute(text(query), {"of": last["task_id"]}).one()
    if state not in TERMINAL or state != last["state"] or revision != last["revision"]:
        yield f"its record is {state} at revision {revision}, it was shown {last['state']} at {last['revision']}"
    if owner is not None:
        yield f"its record has a lease of {owner}"
    events, size = stage.journal(last["task_id"])
    numbers = [event.seq for event in events]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"its journal is numbered {numbers}"
    ended = bool(events) and isinstance(events[-1].body, RunEnded)
    if ended and (offset, seq) != (size, len(events)):
        yield f"its record ends at byte {offset}, event {seq}; its journal at {size}, {len(events)}"
    if ended and _folded(events, last) != essence(dict(last)):
        yield "its progress is not its journal folded"


def _folded(events: list[Any], last: Json) -> Json:
    snapshot = progress_json.initial(last["task_id"], 0.0, auto_installer=False)
    for event in events:
        snapshot = reduce(snapshot, event, event.wall)
    return essence(progress_json.progress(snapshot, 0.0))


def durations_faults(last: Json, took: float) -> list[str]:
    """What is wrong with the durations, for a run that took `took` seconds from outside: no step of a clock is in
    them."""
    told = {"the whole": last["elapsed_seconds"]}
    told |= {row["name"]: row["seconds"] for row in last["nodes"] if row["seconds"] is not None}
    told |= {row["name"]: row["seconds"] for row in last["steps"] if row.get("seconds") is not None}
    told |= {phase["name"]: phase["seconds"] for phase in last["phases"] if phase.get("seconds") is not None}
    return [
        f"{name} is told to have taken {value} s of {took:.1f}"
        for name, value in told.items()
        if not 0 <= value <= took + 2
    ]


def service_size(pid: int) -> tuple[int, int]:
    """The service's threads and open files."""
    proc = Path("/proc") / str(pid)
    return len(list((proc / "task").iterdir())), len(list((proc / "fd").iterdir()))


def pauses() -> Iterator[None]:
    """Each `next` waits a moment: the others are processes, which can set no event here."""
    pause = threading.Event()
    while True:
        pause.wait(0.1)
        yield
