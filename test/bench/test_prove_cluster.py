"""`make prove-cluster`: what it deals, and that what is wrong does not escape it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import Counter
from typing import Any, cast

import pytest

from app.standin.errors import StandInUnavailable
from bench.cluster.cluster import Cluster
from bench.cluster.host import Line, PlayedHost
from bench.cluster.prove.cancels import Cancels
from bench.cluster.prove.faults import HOST, LONG, Kind, dealt
from bench.cluster.prove.judge import cancels_given, of_cancel
from bench.cluster.prove.play import Played
from bench.cluster.prove.results import Results, table
from bench.cluster.prove.watch import Place, Watch


class _Nothing:
    """A cluster of which nothing is asked."""

    web = ()
    database_url = ""


@pytest.fixture
def watch() -> Watch:
    return Watch(cast("Cluster", _Nothing()), {})


def test_the_same_dice_deal_the_same_and_every_kind_comes() -> None:
    runs = [dealt(21, run, 10, host=True) for run in range(1, 11)]
    kinds = Counter(fault.kind for faults in runs for fault in faults)

    assert runs == [dealt(21, run, 10, host=True) for run in range(1, 11)]
    assert runs != [dealt(22, run, 10, host=True) for run in range(1, 11)]
    assert (sum(kinds.values()), set(kinds)) == (100, set(Kind))


def test_what_lasts_lasts_longer_than_others_wait_for_a_worker() -> None:
    long = [fault for run in range(50) for fault in dealt(1, run, 10, host=True) if fault.kind in LONG]

    assert min(fault.seconds for fault in long) > 30


def test_without_a_host_nothing_is_cut_off() -> None:
    kinds = {fault.kind for run in range(10) for fault in dealt(1, run, 10, host=False)}

    assert not kinds & HOST


def test_a_revision_that_falls_is_seen(watch: Watch) -> None:
    place = Place("http://web")
    for revision in (4, 5, 5, 3):
        watch._compare(place, "a", {"revision": revision, "state": "running"})

    assert watch.wrong == ["http://web: a: the revision fell from 5 to 3"]


def test_an_end_that_changes_is_seen(watch: Watch) -> None:
    place = Place("http://web")
    for state in ("running", "failed", "completed"):
        watch._compare(place, "a", {"revision": 1, "state": state})

    assert watch.wrong == ["http://web: a: was failed and is completed"]


def test_a_row_that_goes_back_is_seen(watch: Watch) -> None:
    for token, seq in ((1, 9), (2, 8)):
        watch._compare_row(_row(lease_token=token, journal_seq=seq))

    assert watch.wrong == ["a: journal_seq of its row fell from 9 to 8"]


def _row(**changed: int) -> dict[str, Any]:
    return {"task_id": "a", "state": "running", "revision": 1, "journal_offset": 1} | changed


def test_a_cancel_that_came_to_a_worker_in_time_has_to_end_the_run() -> None:
    said = '{"task_id": "a", "time": "2026-11-30T15:01:50.334Z", "message": "task a: cancel is asked for"}\n'
    given = cancels_given([said])["a"]
    run = {"word": "ended", "end": {"state": "completed"}, "wrote_last": given - 14}

    assert of_cancel(run, given) is None
    assert of_cancel({**run, "end": {"state": "cancelled"}}, None) is None
    assert of_cancel({**run, "wrote_last": given + 30}, given) == "completed behind a cancel that its worker was given"
    assert "no worker was given" in str(of_cancel(run, None))


def test_results_are_gone_on_with_and_tell_how_to_repeat_what_was_wrong(tmp_path: Any) -> None:
    first = Results(tmp_path, 3, resume=False)
    first.add(Cancels([0.1, 0.3]))
    fault = {"at": 4.0, "kind": "PostgreSQL: kill -9", "member": "postgresql", "seconds": 11.0, "running": 50}
    first.add(Played(7, faults=[fault], wrong=["lost"]))

    again = Results(tmp_path, 3, resume=True)
    said = list(table(list(again.played.values()), again.cancels, 3))

    assert "WRONG --seed 3 --only 7: lost" in said
    assert any("2 cancels" in line and "most 0.30 s" in line for line in said)


def test_a_host_is_cut_off_without_a_word_and_comes_back() -> None:
    try:
        with PlayedHost() as host, socket.create_server((host.database_address, 0)) as server:
            port = server.getsockname()[1]
            before = _reaches(host, port)
            host.cut([Line.DATABASE])
            meanwhile = _reaches(host, port)
            host.mend([Line.DATABASE])
            after = _reaches(host, port)
    except StandInUnavailable as exc:
        pytest.skip(exc.message)

    assert (before, meanwhile, after) == (True, False, True)


def _reaches(host: PlayedHost, port: int) -> bool:
    words = f"import socket; socket.create_connection(({host.database_address!r}, {port}), 1.5)"
    argv = [*host.within, sys.executable, "-c", words]
    return subprocess.run(argv, check=False, capture_output=True, timeout=30).returncode == 0
