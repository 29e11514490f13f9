"""How much of what an instance sends is read and kept: every limit has its owner here, with the reason for it.

An honest run of 400 packs and 200 GB of models over 24 hours stays under half of each. Texts are cut to their limit,
lists of what is only shown too; a number, a count or a depth beyond its limit ends the task as `runner_protocol_error`.
"""

from __future__ import annotations

from typing import Mapping, Tuple

MAX_LINE_BYTES = 2 * 1024 * 1024
"""One line of the journal. The longest are the plan and the lock of an environment with 1,500 packages: 0.6 MB."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""One answer of a runner's command. The longest lists the wheels that an instance keeps: under 1 MB."""
MAX_DEPTH = 32
"""How deep JSON from an instance may nest. Events nest 5 deep, what is kept as it came (a lock, a probe) 6."""
MAX_EVENTS = 16_000_000
"""Events of one task. Git tells of each download four times a second, of 16 at once for 24 hours: 5,500,000."""
MAX_JOURNAL_BYTES = 4 * 1024**3
"""Bytes of one journal. 5,500,000 events of 180 bytes: 1 GB. None of them is kept once it was folded."""
MAX_UNKNOWN_EVENTS = 1000
"""Events of a kind that this version does not know: a newer runner adds a few of each kind to a run."""
MAX_INTEGER = 2**63 - 1
"""File systems without an end say that they have so many bytes."""
MAX_FLOAT = 1e15
"""Sums and differences of such numbers are finite, and a browser has them exactly."""

MAX_NODES = 1000
"""Node packs of a run: as many as a manifest may have."""
MAX_STEPS = 200
"""Lines of the task list. A run has about ten."""
MAX_WARNINGS = 50
"""The newest are kept. What a run warns of 400 times (once a pack), its log has."""
MAX_PLANNED = 10_000
"""Changes of packages, of all plans of a run together. 400 packs plan about 1,500."""
MAX_WANTED_BY = 200
"""Packs that one planned package is said to be for."""
MAX_PLAN_CHARS = 2_000_000
"""All texts of all plans. 1,500 changes for 15 packs each: 800,000."""
MAX_BUILD_PACK_CHARS = 200_000
"""The names of packs in all builds of a run. 50 builds for 40 packs each: 50,000."""
MAX_FACTS = 100
"""Facts that a run found out about its machine. A probe has about 20."""
MAX_FACT_CHARS = 16 * 1024
"""One of them as JSON. The GPUs of a machine with eight: 800."""
MAX_REPAIR_CHARS = 400_000
"""What a second round tried in vain. 100 packs, 5 tries each: 50,000. Of more, the first tries are kept."""
MAX_STATES = 20
"""States of which a pack says when it came into them. There are nine."""

SHORT, LINE, LONG = 100, 500, 2000
_TEXTS: Mapping[str, int] = {
    "task_id": SHORT,
    "code": SHORT,
    "id": SHORT,
    "version": SHORT,
    "old": 200,
    "new": 200,
    "change": SHORT,
    "stage": SHORT,
    "wheel": SHORT,
    "commit": SHORT,
    "package": 200,
    "name": 200,
    "folder": 200,
    "subfolder": 200,
    "requirements_file": 200,
    "repo_url": 1000,
    "source": 1000,
    "ui_home": 1000,
    "message": LONG,
    "hint": 1000,
    "text": LONG,
    "error": LONG,
}
"""The longest text of a field by its name; any other has LINE characters at most."""
BLOCKS = frozenset({"message", "hint", "text", "error"})
"""Fields whose text may have several lines."""

Range = Tuple[float, float]
MONO: Range = (0.0, 1e9)
"""Seconds since an instance was started: thirty years."""
WALL: Range = (0.0, 2.5e11)
"""Unix seconds that a calendar has: up to the year 9892. Clocks of rented machines are wrong, by decades too."""
SPAN: Range = (-1e9, 1e9)
"""Seconds that something took."""
COUNT: Range = (0, 1_000_000)
PERCENT: Range = (0, 100)
BYTES: Range = (0, MAX_INTEGER)
_RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("mono", "began_mono", "started_mono", "ended_mono", "since_mono", "last_mono"), MONO),
    **dict.fromkeys(("asked_mono", "answered_mono", "working_since"), MONO),
    **dict.fromkeys(("wall", "created_at", "finished_at", "last_at", "next_attempt_at"), WALL),
    **dict.fromkeys(("seconds", "import_seconds", "worked", "next_attempt_in"), SPAN),
    **dict.fromkeys(("done", "total", "packages_done", "packages_total", "starts", "attempt", "position"), COUNT),
    **dict.fromkeys(("percent", "clone_percent"), PERCENT),
    **dict.fromkeys(("bytes", "bytes_done", "bytes_total", "packages_bytes_done", "packages_bytes_total"), BYTES),
    **dict.fromkeys(("bytes_received", "disk_bytes", "offset"), BYTES),
    **dict.fromkeys(("seq", "journal_seq"), (0, MAX_EVENTS)),
    **dict.fromkeys(("revision", "service_seq"), BYTES),
}
"""What a number may be, by its field's name; any other has the widest range of its type."""
_COUNTS: Mapping[str, int] = {
    "nodes": MAX_NODES,
    "steps": MAX_STEPS,
    "warnings": MAX_WARNINGS,
    "changes": MAX_PLANNED,
    "plan": MAX_PLANNED,
    "entered": MAX_STATES,
}
_ENTRIES = 10_000
_CUT: Mapping[str, int] = {"wanted_by": MAX_WANTED_BY}


def longest(name: str) -> int:
    """How many characters of the text in a field are kept."""
    return _TEXTS.get(name, LINE)


def integers(name: str) -> Range:
    """The smallest and the largest whole number that a field may have."""
    return _RANGES.get(name, (-MAX_INTEGER, MAX_INTEGER))


def numbers(name: str) -> Range:
    """The smallest and the largest number that a field may have."""
    return _RANGES.get(name, (-MAX_FLOAT, MAX_FLOAT))


def entries(name: str) -> int:
    """How many entries the list or the object in a field may have."""
    return _COUNTS.get(name, _ENTRIES)


def kept_entries(name: str) -> int:
    """How many entries of a list are kept, the first ones: for lists that are only shown."""
    return _CUT.get(name, _ENTRIES)
