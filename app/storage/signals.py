"""What a person asks of an install that another process runs, on its way there; and when each runner was last heard.

Only on PostgreSQL. What is asked is in a table until the install has ended, so that nothing is lost with a connection
or a worker; a NOTIFY in the same transaction says that it is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Engine, text

from app.protocol.states import TERMINAL_TASK_STATES
from app.storage.transactions import reading, writing

SIGNALS = "nodeferry_signals"
"""The channel on which a task_id, or a workflow_id, says that something is asked of it."""
PROGRESS = "nodeferry_progress"
"""The channel of what is new of installs."""
PING = "nodeferry_ping"
"""The channel by which a listener knows that it hears."""
MAX_PAYLOAD = 7900
"""Bytes; PostgreSQL takes less than 8000."""

_ENDED = sorted(state.value for state in TERMINAL_TASK_STATES)
_GOES_ON = text("SELECT 1 FROM installs WHERE task_id = :task_id AND state <> ALL(:ended)")
_ADD = (
    "INSERT INTO install_signals (task_id, kind, subject, value) VALUES (:task_id, :kind, :subject, :value)"
    " ON CONFLICT (task_id, kind, subject)"
)
_ADD_ONCE = text(f"{_ADD} DO NOTHING")
_ADD_AGAIN = text(f"{_ADD} DO UPDATE SET number = DEFAULT, created_at = now()")
_HOLDS = text("SELECT value FROM install_signals WHERE task_id = :task_id AND kind = :kind AND subject = :subject")
_PENDING = text(
    "SELECT number, task_id, kind, subject, value, extract(epoch FROM clock_timestamp() - created_at) AS age"
    " FROM install_signals WHERE task_id = ANY(:task_ids) ORDER BY number"
)
_FORGET = text("DELETE FROM install_signals WHERE task_id = :task_id")
_FORGET_ENDED = text(
    "DELETE FROM install_signals WHERE task_id IN (SELECT task_id FROM installs WHERE state = ANY(:ended))"
)
_CANCEL_HELD = text(
    "WITH held AS (DELETE FROM procrastinate_jobs"
    " WHERE queueing_lock = ANY(:task_ids) AND queue_name = 'held' AND status = 'todo' RETURNING queueing_lock),"
    " noted AS (INSERT INTO install_signals (task_id, kind, subject, value)"
    " SELECT queueing_lock, 'cancel', '', '' FROM held ON CONFLICT DO NOTHING)"
    " SELECT queueing_lock FROM held"
)
_UNQUEUE = text("DELETE FROM procrastinate_jobs WHERE queueing_lock = :task_id AND status = 'todo'")
_NOTIFY = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload")
_NOTE_HEARD = text(
    "INSERT INTO install_heard (task_id, heard_at)"
    " SELECT task_id, clock_timestamp() - make_interval(secs => age)"
    " FROM unnest(CAST(:task_ids AS text[]), CAST(:ages AS float8[])) AS heard (task_id, age)"
    " ON CONFLICT (task_id) DO UPDATE SET heard_at = greatest(install_heard.heard_at, excluded.heard_at)"
)
_AGE = text("SELECT extract(epoch FROM clock_timestamp() - heard_at) FROM install_heard WHERE task_id = :task_id")
_CLAIM = text("INSERT INTO followed_up (key) VALUES (:key) ON CONFLICT DO NOTHING")
_NOT_FOLLOWED = text(
    "SELECT task_id FROM installs WHERE state = ANY(:ended)"
    " AND finished_at BETWEEN extract(epoch FROM now()) - :within AND extract(epoch FROM now()) - :after"
    " AND NOT EXISTS (SELECT 1 FROM followed_up WHERE key = task_id) ORDER BY finished_at LIMIT 100"
)
_FORGET_FOLLOWED = text("DELETE FROM followed_up WHERE at < now() - interval '8 days'")
_FORGET_HEARD = text(
    "DELETE FROM install_heard WHERE NOT EXISTS (SELECT 1 FROM installs WHERE installs.task_id = install_heard.task_id)"
)


class Kind(StrEnum):
    """What may be asked."""

    CANCEL = "cancel"
    SKIP = "skip"
    ANSWER = "answer"
    WAKE = "wake"


class Cancel(StrEnum):
    """What has become of a cancel: the install had ended, its worker is asked, or it is the caller's to end."""

    ENDED = "ended"
    ASKED = "asked"
    UNQUEUED = "unqueued"


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that was asked. `subject`: the package to skip, or the question; `value`: the answer. `number`: no
    other signal's, and another one when the same is asked again. `age`: seconds since it was asked."""

    number: int
    task_id: str
    kind: Kind
    subject: str
    value: str
    age: float = 0.0


class SignalStore:
    """The signals of one PostgreSQL. Every method may be called from any thread; StorageError when it fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, task_id: str, kind: Kind, subject: str = "", value: str = "") -> str | None:
        """Asks something of an install, and lets the process know that has it. The value that holds, which is the first
        one; None when the install has ended or is unknown."""
        asked = {"task_id": task_id, "kind": kind.value, "subject": subject}
        with writing(self._engine) as connection:
            if not _goes_on(connection, task_id):
                return None
            connection.execute(_ADD_AGAIN if kind is Kind.WAKE else _ADD_ONCE, {**asked, "value": value})
            connection.execute(_NOTIFY, {"channel": SIGNALS, "payloads": [task_id]})
            return str(connection.execute(_HOLDS, asked).scalar_one())

    def cancel(self, task_id: str, *, unqueue: bool) -> Cancel:
        """Asks for an install's cancel. With `unqueue` one that no worker has is taken out of the queue, for the caller
        to end it. The cancel stays noted: if the caller does not come to that, the next worker does."""
        asked = {"task_id": task_id, "kind": Kind.CANCEL.value, "subject": "", "value": ""}
        with writing(self._engine) as connection:
            if not _goes_on(connection, task_id):
                return Cancel.ENDED
            connection.execute(_ADD_ONCE, asked)
            if unqueue and connection.execute(_UNQUEUE, {"task_id": task_id}).rowcount:
                return Cancel.UNQUEUED
            connection.execute(_NOTIFY, {"channel": SIGNALS, "payloads": [task_id]})
        return Cancel.ASKED

    def cancel_held(self, task_ids: Collection[str]) -> set[str]:
        """As `cancel` with `unqueue`, of those of these installs that wait for a place of their fleet: they are the
        caller's to end."""
        with writing(self._engine) as connection:
            return set(connection.execute(_CANCEL_HELD, {"task_ids": list(task_ids)}).scalars())

    def pending(self, task_ids: Collection[str]) -> list[Signal]:
        """What was asked of these installs, in its order."""
        with reading(self._engine) as connection:
            rows = connection.execute(_PENDING, {"task_ids": list(task_ids)}).all()
        return [Signal(row.number, row.task_id, Kind(row.kind), row.subject, row.value, float(row.age)) for row in rows]

    def forget(self, task_id: str) -> None:
        """The install has ended."""
        with writing(self._engine) as connection:
            connection.execute(_FORGET, {"task_id": task_id})

    def notify(self, channel: str, payloads: Collection[str]) -> None:
        """Says this to every process that listens; one statement, since each such commit waits for the others."""
        with writing(self._engine) as connection:
            connection.execute(_NOTIFY, {"channel": channel, "payloads": list(payloads)})

    def note_heard(self, ages: Mapping[str, float]) -> None:
        """How many seconds ago the runners of these installs were heard. The database's clock counts: those of hosts
        differ."""
        rows = sorted(ages.items())  # in one order: two processes that write the same rows do not wait for each other
        with writing(self._engine) as connection:
            connection.execute(_NOTE_HEARD, {"task_ids": [row[0] for row in rows], "ages": [row[1] for row in rows]})

    def heard_ago(self, task_id: str) -> float | None:
        """How many seconds ago the install's runner was heard, as far as that was noted."""
        with reading(self._engine) as connection:
            age = connection.execute(_AGE, {"task_id": task_id}).scalar()
        return None if age is None else float(age)

    def claim(self, key: str) -> bool:
        """Whether nobody has claimed this before: what follows it is the caller's to do, and only its."""
        with writing(self._engine) as connection:
            return connection.execute(_CLAIM, {"key": key}).rowcount > 0

    def not_followed(self, within: float, after: float) -> list[str]:
        """The installs that have ended in the last `within` seconds and at least `after` seconds ago, and whose end
        nobody has claimed."""
        asked = {"ended": _ENDED, "within": within, "after": after}
        with reading(self._engine) as connection:
            return list(connection.execute(_NOT_FOLLOWED, asked).scalars())

    def forget_ended(self) -> None:
        """What was asked in the moment of an install's end, and what belongs to no install any more."""
        with writing(self._engine) as connection:
            connection.execute(_FORGET_ENDED, {"ended": _ENDED})
            connection.execute(_FORGET_HEARD)
            connection.execute(_FORGET_FOLLOWED)


def _goes_on(connection: Connection, task_id: str) -> bool:
    return connection.execute(_GOES_ON, {"task_id": task_id, "ended": _ENDED}).first() is not None


def in_payloads(lines: Iterable[str]) -> list[str]:
    """Lines, as many in a payload as it takes."""
    payloads: list[str] = []
    for line in lines:
        if payloads and len(payloads[-1]) + 1 + len(line) <= MAX_PAYLOAD:
            payloads[-1] += f"\n{line}"
        else:
            payloads.append(line)
    return payloads
