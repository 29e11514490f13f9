"""bench.scale: it measures small numbers of installs, on either engine, and notices what is not as it must be."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from app.protocol.events import Event, GivenUp, Source
from app.protocol.progress_json import initial, progress
from app.protocol.reducer import reduce
from app.protocol.snapshot import Problem
from app.protocol.states import TaskState
from app.standin.postgresql import programs
from bench.fleet.truth import end_of
from bench.scale import __main__ as bench
from bench.scale.figures import END_SECONDS, Figures, Results, faults, highest, table
from bench.scale.picture import draw
from bench.scale.polls import Watch
from bench.scale.step import wrong_end

_SMALL = ("--rate=25", "--window=2", "--minutes=1", "--drops=0.2", "--deaths=0.2", "--silent=0", "--fresh=0.2")
_GOOD = Figures(
    engine="embedded",
    installs=1,
    rate=1.0,
    load_average=0.5,
    window=60.0,
    running=1.0,
    events=1.0,
    late=0.001,
    accepted=0.1,
    start=(0.3, 0.3, 0.3),
    memory_before=90.0,
    memory=100.0,
    database_memory=0.0,
    threads=80,
    files=20,
    cores=0.1,
    database_cores=0.0,
    fleet=0.01,
    fleet_memory=50.0,
    bench=0.1,
    lag=(0.1, 0.2, 0.3),
    lags=60,
    polls=4800,
    poll=(0.003, 0.01),
    ended_true=1,
    cut=0,
    died=0,
    silent=0,
    left={},
)
_MANY = dataclasses.replace(_GOOD, installs=1000, running=990.0, events=990.0, cores=1.1, ended_true=1000)


def _measured(folder: Path, *words: str) -> list[Figures]:
    bench.main([*_SMALL, *words, "--output", str(folder)])
    return [Figures.of_json(line) for line in json.loads((folder / "scale.json").read_text("utf-8"))]


@pytest.mark.slow
def test_small_steps_are_measured_and_end_true(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, five = _measured(tmp_path, "--installs=1,5")
    assert (one.ended_true, five.ended_true, five.died, five.cut) == (1, 5, 1, 1)
    assert not (one.left or five.left or one.wrong or five.wrong)
    assert one.lags and five.lags and five.events > one.events > 1
    assert five.memory > five.memory_before and five.threads > 10
    ET.fromstring((tmp_path / "scale.svg").read_text("utf-8"))
    assert "5 of 5" in capsys.readouterr().out
    before = (tmp_path / "scale.jsonl").read_bytes()
    assert len(_measured(tmp_path, "--installs=1,5", "--resume")) == 2
    assert (tmp_path / "scale.jsonl").read_bytes() == before, "what was measured is not measured again"


@pytest.mark.slow
@pytest.mark.parametrize("by", ["SIGTERM", "SIGKILL"])
def test_a_service_that_ends_in_the_middle_is_followed_by_one_that_goes_on(tmp_path: Path, by: str) -> None:
    """With all of its installs, which end as if nothing had been; one that is asked to end does so soon."""
    (figures,) = _measured(tmp_path, "--installs=30", "--rate=6", "--window=1", f"--restart={by}")
    assert (figures.ended_true, figures.left, figures.wrong) == (30, {}, ())
    ended, _followed = figures.restart
    assert ended < END_SECONDS


@pytest.mark.slow
@pytest.mark.skipif(programs() is None, reason="There is no PostgreSQL here.")
def test_several_processes_are_measured_as_one_service(tmp_path: Path) -> None:
    (figures,) = _measured(tmp_path, "--installs=3", "--engine=postgresql", "--roles=web,worker")
    assert (figures.ended_true, figures.left, figures.wrong) == (3, {}, ())
    assert figures.database_memory > 1


def test_what_is_more_than_it_may_be_is_said() -> None:
    heavy = dataclasses.replace(_MANY, memory=2000.0, lag=(1.0, 2.5, 3.0), poll=(0.01, 0.2), wrong=("one is lost",))
    texts = faults([_GOOD, heavy], 1.0)
    assert len(texts) == 4
    assert all(text.startswith("1000 installs") for text in texts)
    assert not faults([_GOOD, _MANY], 1.0)


def test_the_highest_rate_that_holds_is_said() -> None:
    steps = [
        dataclasses.replace(_MANY, rate=rate, events=rate * 990, lag=(0.1, lag, lag))
        for rate, lag in ((1.0, 0.3), (2.0, 0.9), (4.0, 6.0))
    ]
    assert highest([_GOOD, *steps]) == (
        "The highest event rate that holds with 1000 installs, of those tried: 2 a second each, 1,980 in all; "
        "4 does not (p95 6.0 s)."
    )
    assert "1.01" in list(table([_GOOD, *steps]))[3], "1,000 ms more of a processor for 989 more installs"


def test_the_lag_of_an_event_ends_at_the_first_poll_that_saw_it() -> None:
    """Three events of the service stood before the journal's; the first was written before anybody watched."""
    watch = Watch(0, 10.0, [(10.1, 4), (11.5, 5), (13.0, 7)])
    assert watch.lags([9.0, 11.0, 12.0, 12.5], 7) == [0.5, 1.0, 0.5]


def test_results_of_another_call_are_not_gone_on_with(tmp_path: Path) -> None:
    Results(tmp_path, {"seed": 1}, resume=False).add(_GOOD)
    assert Results(tmp_path, {"seed": 1}, resume=True).found == [_GOOD]
    with pytest.raises(ValueError, match="another call"):
        Results(tmp_path, {"seed": 2}, resume=True)


def test_the_picture_shows_both_engines(tmp_path: Path) -> None:
    other = [dataclasses.replace(each, engine="postgresql", memory=300.0) for each in (_GOOD, _MANY)]
    words = "".join(ET.fromstring(draw([_GOOD, _MANY, *other])).itertext())
    assert "one process, SQLite" in words and "several processes, PostgreSQL" in words and "1,000" in words


def test_a_task_that_ended_otherwise_than_its_instance_says_is_told() -> None:
    first = initial("550e8400-e29b-41d4-a716-446655440000", 0.0, auto_installer=False)
    end = GivenUp(TaskState.CANCELLED, Problem("played", "It is over."))
    shown = progress(reduce(first, Event(end, 1, 0.0, 0.0, Source.SERVICE), 0.0), 0.0)
    true = end_of(shown)
    assert wrong_end({"fate": "ends", "word": "ended", "end": true}, shown) is None
    assert wrong_end({"fate": "dies", "word": "died", "end": {**true, "code": "runner_lost"}}, shown) == (
        "instances (dies): code played for runner_lost"
    )
    assert wrong_end({"fate": "silent", "word": "none", "end": {"state": "failed", "code": None}}, shown) == (
        "instances (silent): state cancelled for failed (reason: played)"
    )
    assert "has not ended" in str(wrong_end({"fate": "ends", "word": "running", "end": None}, None))
