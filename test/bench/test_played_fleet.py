"""The played fleet: a real service takes its runs for real ones, over cut lines and beside dead runners."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.fleet.process import FleetProcess
from bench.fleet.recordings import Said, fitted, recordings
from bench.fleet.run import Run
from bench.fleet.script import Fate, Play, script_of
from bench.fleet.truth import end_of, truth_of
from bench.fleet.wire import json_line
from test.support.service import ServiceProcess
from test.support.waiting import wait_until

_PLAY = Play(seed=3, instances=5, rate=30.0, events=90, drops=0.2, deaths=0.2, fresh=0.5)
_MANIFEST = {"nodes": [{"name": "a", "repo_url": "https://example.org/o/a"}]}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetProcess]:
    """Five instances, which the service's own key gets into, and no other."""
    folder = tmp_path / "service-home" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "id_ed25519"], check=True)
    with FleetProcess(_PLAY, key=folder / "id_ed25519.pub") as made:
        yield made


def test_a_real_service_takes_them_for_real_runs(tmp_path: Path, fleet: FleetProcess) -> None:
    """One line is cut and comes back, one runner dies: every end is as the instance's journal says."""
    with ServiceProcess(tmp_path) as service:
        tasks = [service.install(fleet.command(number), manifest=_MANIFEST) for number in range(5)]
        ends = [end_of(service.ended(task_id)) for task_id in tasks]
        truths = fleet.truths()
    assert [truth["task_id"] for truth in truths] == tasks
    assert ends == [truth["end"] for truth in truths]
    assert sorted(truth["word"] for truth in truths) == ["died", *["ended"] * 4]
    cut = next(truth for truth in truths if truth["cuts"])
    assert cut["logins"] > 1 and cut["asked"]["start"] == cut["logins"]
    written = fleet.written(list(range(5)))
    assert [len(written[truth["number"]]) for truth in truths] == [truth["events"] for truth in truths]
    assert fleet.gauge()["connections"] == 0


def test_a_cancel_ends_a_played_run(tmp_path: Path, fleet: FleetProcess) -> None:
    number = next(n for n in range(5) if script_of(_PLAY, n).fate is Fate.ENDS and not script_of(_PLAY, n).drops)
    with ServiceProcess(tmp_path) as service:
        task_id = service.install(fleet.command(number), manifest=_MANIFEST)
        wait_until(lambda: fleet.gauge()["events"], 20, "the run's first event")
        service.post(f"/tasks/{task_id}/cancel", {})
        assert service.ended(task_id)["state"] == "cancelled"
    assert fleet.truths()[number]["end"]["state"] == "cancelled"


def test_a_silent_host_says_nothing(tmp_path: Path) -> None:
    silent = Play(instances=1, silent=1.0)
    with FleetProcess(silent) as fleet, ServiceProcess(tmp_path, connect_timeout_seconds="3") as service:
        asked = {"manifest": _MANIFEST, "options": {"wait_seconds": 0}}
        shown = service.ended(service.install(fleet.command(0), **asked))
        truth = fleet.truths()[0]
    assert (shown["state"], truth["end"]["state"], truth["logins"]) == ("failed", "failed", 0)


def test_the_same_seed_deals_the_same_fleet() -> None:
    play = Play(seed=9, instances=40, events=120, drops=0.1, deaths=0.05, silent=0.05)
    scripts = [script_of(play, number) for number in range(40)]
    assert scripts == [script_of(play, number) for number in range(40)]
    fates = [script.fate for script in scripts]
    assert (fates.count(Fate.DIES), fates.count(Fate.SILENT)) == (2, 2)
    assert sum(bool(script.drops) for script in scripts) == 4
    assert {len(script.events) for script in scripts} == {120}


@pytest.mark.parametrize("name", [each.name for each in recordings()])
def test_a_fitted_run_ends_as_the_recorded_one(name: str) -> None:
    """However many events it has."""
    recorded = next(each for each in recordings() if each.name == name)
    sizes = {recorded.least, len(recorded.events), len(recorded.events) + 100}
    ends = []
    for size in sizes:
        events = fitted(recorded.events, size, random.Random(f"{name} {size}"))
        assert len(events) == size
        ends.append(_end_of(name, events))
    assert ends == [ends[0]] * len(ends)
    assert ends[0]["state"] == "completed"


def _end_of(name: str, events: list[Said]) -> dict[str, object]:
    """What a task that has had these events says."""
    run = Run("550e8400-e29b-41d4-a716-446655440000", None, script_of(Play(events=90), 0), lambda _events: None)
    run.word = "ended"
    for number, event in enumerate(events, 1):
        run.lines.append(json_line({**event.fields, "seq": number}))
        run.bodies.append(event.fields)
    end = truth_of(run, f"{name} {len(events)}")
    assert end is not None
    return end


def test_it_ends_with_its_input() -> None:
    argv = [sys.executable, "-m", "bench.fleet", "--instances", "2"]
    assert (
        subprocess.run(argv, input="", capture_output=True, text=True, timeout=30, check=True).stdout.count("\n") == 1
    )
