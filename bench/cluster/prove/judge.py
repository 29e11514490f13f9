"""Whether everything ended as its instance says, once, and with nothing left."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import psycopg

from app.storage.log_files import REST_IS_THERE
from bench.cluster.cluster import Cluster
from bench.cluster.prove.asks import Asks
from bench.cluster.prove.watch import Watch, connected, database_url, rows
from bench.scale.polls import Client
from bench.scale.step import wrong_end

_REST_SECONDS, _TELLS_SECONDS = 40.0, 10.0
"""The second: a worker that has just taken an install over has to connect before it can tell of a cancel."""
_UNCONFIRMED = "cancel_unconfirmed"
_GIVEN = ": cancel is asked for"
_RESTS = {
    "unfinished installs": "SELECT count(*) FROM installs WHERE state NOT IN ('completed', 'failed', 'cancelled')",
    "jobs": "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')",
    "leases": "SELECT count(*) FROM installs WHERE lease_owner IS NOT NULL",
    "signals": "SELECT count(*) FROM install_signals",
}
_NOTES = {
    "late writes refused": "its lease is lost, another service works on it now",
    "installs let go of": "another worker has it by now",
    "workers begun anew": "others have what it had",
    "installs taken over": "nobody works on it any more",
    "cancels that no instance confirmed": f"given up as cancelled: Problem(code='{_UNCONFIRMED}'",
}


def judge(cluster: Cluster, asks: Asks, watch: Watch, wanted: int, *, is_cut: bool) -> tuple[list[str], int]:
    """What is wrong, once all has ended or took too long; and of how many logs the last lines are missing. `is_cut`:
    whether a host was cut off from the instances, which then do not know that it has closed its connections."""
    truths = cluster.fleet.truths()
    by_task = {row["task_id"]: row for row in _rows(cluster)}
    wrong = [*asks.wrong, *watch.wrong]
    if len(by_task) != wanted:
        wrong.append(f"{len(by_task)} records for {wanted} installs")
    found: dict[str, list[int]] = {}
    given = cancels_given([_log(member) for member in cluster.workers])
    for truth in truths:
        task_id, number = asks.tasks.get(truth["number"], ""), truth["number"]
        if number in asks.cancelled and _is_unconfirmed(watch, task_id):
            continue  # it has said that the install may still run there
        for what in [*_of_ends(truth, task_id, watch), *_of_row(truth, task_id, by_task)]:
            found.setdefault(what, []).append(number)
        if number in asks.cancelled and (what_of_cancel := of_cancel(truth, given.get(task_id))) is not None:
            found.setdefault(what_of_cancel, []).append(number)
    wrong += [f"{what}: instances {numbers}" for what, numbers in found.items()]
    of_logs, short = _of_logs(cluster, asks)
    return wrong + of_logs + _of_rests(cluster, is_cut=is_cut) + _of_members(cluster), short


def _of_ends(truth: Mapping[str, Any], task_id: str, watch: Watch) -> list[str]:
    """At every web process."""
    found = [wrong_end(truth, place.ends.get(task_id)) for place in watch.places]
    runs = [] if truth["runs"] == 1 else [f"{truth['runs']} runs on the instance"]
    starts = [] if truth["task_id"] == task_id else ["the run is not the task's"]
    return [what for what in found if what is not None] + runs + starts


def _is_unconfirmed(watch: Watch, task_id: str) -> bool:
    errors = [place.ends.get(task_id, {}).get("error") or {} for place in watch.places]
    return all(error.get("code") == _UNCONFIRMED for error in errors)


def _of_row(truth: Mapping[str, Any], task_id: str, by_task: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Each line of the journal was counted, once."""
    row = by_task.get(task_id)
    if row is None:
        return ["no record"]
    got, true = (row["journal_seq"], row["journal_offset"]), (truth["events"], truth.get("bytes"))
    return [] if got == true else [f"line and byte {got} of the journal, which has {true}"]


def of_cancel(truth: Mapping[str, Any], given: float | None) -> str | None:
    """What is wrong with the end of an install whose cancel was accepted. `given`: when a worker was given it, by the
    clock on the wall: where none was there, the run may have ended before."""
    state = (truth["end"] or {}).get("state")
    if truth["word"] == "died" or state == "cancelled":
        return None
    if given is None:
        return f"{state}, and no worker was given the cancel that was accepted"
    is_late = given > truth["wrote_last"] - _TELLS_SECONDS
    return None if is_late else f"{state} behind a cancel that its worker was given"


def cancels_given(logs: Iterable[str]) -> dict[str, float]:
    """When each task's worker was first given its cancel, by the workers' logs."""
    found: dict[str, float] = {}
    for line in "".join(logs).splitlines():
        if _GIVEN in line and line.endswith("}"):
            said = json.loads(line)
            moment = datetime.fromisoformat(said["time"]).timestamp()
            found[said["task_id"]] = min(moment, found.get(said["task_id"], moment))
    return found


def _of_logs(cluster: Cluster, asks: Asks) -> tuple[list[str], int]:
    """The run's log is the instance's, byte by byte: two workers that both thought that it was theirs wrote it once.
    How many lack their last lines: whoever was to fetch them behind the end, or PostgreSQL, was killed right then."""
    differ, short, client = [], 0, Client(cluster.web[0].url)
    for number, log in cluster.fleet.logs(sorted(asks.tasks)).items():
        try:
            status, answer = client.get(f"/tasks/{asks.tasks[number]}/log?limit=1048576")
        except (OSError, http.client.HTTPException, ValueError) as exc:
            return [f"a log: {exc!r}"], short
        text = answer.get("text", "").removesuffix(REST_IS_THERE.decode()) if status == 200 else ""
        if not text or not log.startswith(text):
            differ.append(number)
        else:
            short += text != log
    client.close()
    return [f"logs that are not the instance's: instances {differ}"] if differ else [], short


def _of_rests(cluster: Cluster, *, is_cut: bool) -> list[str]:
    """Rows and connections, which need a moment to go."""
    until, pause = time.monotonic() + _REST_SECONDS, threading.Event()
    while True:
        left = _left(cluster, is_cut=is_cut)
        if not left or time.monotonic() > until:
            return [f"left: {left}"] if left else []
        pause.wait(1.0)


def _left(cluster: Cluster, *, is_cut: bool) -> dict[str, int]:
    found = {} if is_cut else {"connections": int(cluster.fleet.gauge()["connections"])}
    with connected(database_url(cluster)) as connection:
        for name, query in _RESTS.items():
            found[name] = sum(row[0] for row in connection.execute(query.encode()).fetchall())
    return {name: count for name, count in found.items() if count}


def _of_members(cluster: Cluster) -> list[str]:
    counts = {member.name: _log(member).count("Traceback") for member in cluster.members}
    return [f"{count} tracebacks in the log of {name}" for name, count in counts.items() if count]


def notes(cluster: Cluster) -> dict[str, int]:
    """What the members' logs say of what they did about it."""
    found = Counter[str]()
    for member in cluster.members:
        text = _log(member)
        found.update({name: text.count(words) for name, words in _NOTES.items()})
    return dict(found)


def _log(member: Any) -> str:
    return str(member.log.read_text("utf-8", "replace")) if member.log.exists() else ""


def _rows(cluster: Cluster) -> list[dict[str, Any]]:
    try:
        with connected(database_url(cluster)) as connection:
            return rows(connection)
    except psycopg.Error:
        return []
