"""Looks at all installs all the time, as their pages do at each web process, and as their rows are in the database."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.cluster.cluster import Cluster
from bench.scale.polls import PROGRESS, Client
from test.support.service import TERMINAL

_POLL_SECONDS, _ROWS_SECONDS, _ANSWER_SECONDS = 0.1, 1.0, 30.0
_ROWS = (
    "SELECT task_id, lease_token, lease_owner, revision, journal_seq, journal_offset, state FROM installs"
    " ORDER BY number"
)
_RISING = ("lease_token", "revision", "journal_seq", "journal_offset")
_AWAY = (502, 503)


@dataclass
class Place:
    """A web process, and what its polls said last of each task."""

    url: str
    shown: dict[str, tuple[int, str]] = field(default_factory=dict)
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    polls: int = 0
    unavailable: int = 0
    unreachable: int = 0


class Watch:
    """From `begin` to `close`; a thread for each web process, and one for the rows."""

    def __init__(self, cluster: Cluster, tasks: Mapping[int, str]) -> None:
        """`tasks`: by the number of the instance; it may grow."""
        self.places = [Place(member.url) for member in cluster.web]
        self.rows: dict[str, dict[str, Any]] = {}
        self.looks = 0
        self._wrong: dict[str, int] = {}
        self._tasks = tasks
        self._database_url = database_url(cluster)
        self._over = threading.Event()
        jobs: list[Callable[[], None]] = [self._look_at_rows]
        jobs += [lambda place=place: self._go_round(place) for place in self.places]  # type: ignore[misc]
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]

    @property
    def wrong(self) -> list[str]:
        """What must not be, and how often it was seen."""
        return [f"{what} ({count} times)" if count > 1 else what for what, count in self._wrong.items()]

    def begin(self) -> None:
        """From now on."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """What is under way is waited for."""
        self._over.set()
        for thread in self._threads:
            thread.join(2 * _ANSWER_SECONDS)

    def have_ended(self) -> bool:
        """Whether every web process has told the end of every task."""
        return all(set(self._tasks.values()) <= set(place.ends) for place in self.places)

    def _go_round(self, place: Place) -> None:
        client = Client(place.url, _ANSWER_SECONDS)
        while not self._over.wait(_POLL_SECONDS):
            for task_id in list(self._tasks.values()):
                if self._over.wait(_POLL_SECONDS):
                    break
                self._poll(place, client, task_id)
        client.close()

    def _poll(self, place: Place, client: Client, task_id: str) -> None:
        place.polls += 1
        try:
            status, shown = client.post(PROGRESS, {"task_id": task_id})
        except (OSError, http.client.HTTPException, ValueError):
            place.unreachable += 1
            return
        if status in _AWAY:
            place.unavailable += 1
        elif status != 200:
            self._note(f"{place.url}: a poll was answered {status} {shown.get('code')}")
        else:
            self._compare(place, task_id, shown)

    def _compare(self, place: Place, task_id: str, shown: dict[str, Any]) -> None:
        revision, state = shown["revision"], shown["state"]
        last = place.shown.get(task_id)
        if last is not None and revision < last[0]:
            self._note(f"{place.url}: {task_id}: the revision fell from {last[0]} to {revision}")
        if last is not None and last[1] in TERMINAL and state != last[1]:
            self._note(f"{place.url}: {task_id}: was {last[1]} and is {state}")
        place.shown[task_id] = (revision, state)
        if state in TERMINAL:
            place.ends[task_id] = shown

    def _look_at_rows(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        while not self._over.wait(_ROWS_SECONDS):
            try:
                connection = connection or connected(self._database_url)
                for row in rows(connection):
                    self._compare_row(row)
                self.looks += 1
            except psycopg.Error:  # PostgreSQL is away
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _compare_row(self, row: dict[str, Any]) -> None:
        task_id = row["task_id"]
        last = self.rows.get(task_id, row)
        for name in _RISING:
            if row[name] < last[name]:
                self._note(f"{task_id}: {name} of its row fell from {last[name]} to {row[name]}")
        if last["state"] in TERMINAL and row["state"] != last["state"]:
            self._note(f"{task_id}: its row was {last['state']} and is {row['state']}")
        self.rows[task_id] = row

    def _note(self, what: str) -> None:
        self._wrong[what] = self._wrong.get(what, 0) + 1


def rows(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """All installs. Raises psycopg.Error."""
    cursor = connection.execute(_ROWS)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def connected(url: str) -> psycopg.Connection[Any]:
    """For one who looks. Raises psycopg.Error."""
    return psycopg.connect(url, autocommit=True, connect_timeout=5)


def database_url(cluster: Cluster) -> str:
    """As psycopg wants it."""
    return cluster.database_url.replace("+psycopg", "")
