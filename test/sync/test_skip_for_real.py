"""A skip, from the request to the run on the instance: over a real sshd, through a cut line, after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.standin.instance import StandIn
from app.standin.packs import Pack
from app.standin.relay import Relay
from test.api.client import Api, content
from test.api.test_docs import examples, section
from test.support.building_runner import BUILDS, building_runner
from test.sync.conftest import Bench, BenchFactory

pytestmark = pytest.mark.sshd

UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Builds that nobody skips are done once this file exists."""
    path = tmp_path / "builds are done"
    packed = building_runner(path)
    monkeypatch.setattr("app.sync.installs.worker.pack_runner", lambda: packed)
    return path


def builds_of(bench: Bench, task_id: str) -> dict[str, dict[str, Any]]:
    return {build["package"]: build for build in bench.installs.progress(task_id)["builds"]}


def started(bench: Bench, ssh_command: str, instance: StandIn, pack: Pack) -> str:
    """An install whose builds run."""
    task_id = bench.start(ssh_command, pack, ui_home=instance.ui_home, verify=False)
    bench.until(task_id, lambda now: [b["state"] for b in now["builds"]] == ["running"] * 2, "both builds run")
    return task_id


def skips_on(instance: StandIn, task_id: str) -> list[str]:
    return sorted(path.name for path in (instance.home / ".local/state/nodeferry" / task_id / "skips").glob("*"))


def test_only_the_build_that_is_named_is_skipped(
    bench: Bench, instance: StandIn, packs: list[Pack], gate: Path
) -> None:
    """The name in any spelling; a second skip changes nothing, and one that is over is refused with what is left."""
    task_id = started(bench, instance.ssh_command, instance, packs[0])
    api = Api(bench.service.app)
    assert "building slow-one, other" in api.progress(task_id)["message"]
    answer = api.post(f"/tasks/{task_id}/skip", {"package": "Slow_One"})
    assert answer.status_code == 202, answer.text
    [example] = examples(section("POST /tasks/<task_id>/skip"))
    assert set(content(answer)) == set(example)
    assert set(content(answer)["build"]) == set(example["build"])
    assert content(answer)["build"]["skip_requested"]
    assert api.post(f"/tasks/{task_id}/skip", {"package": "slow-one"}).status_code in {202, 409}
    bench.until(task_id, lambda _now: builds_of(bench, task_id)["slow-one"]["state"] == "skipped", "it is skipped")
    assert skips_on(instance, task_id) == ["slow-one.skip"]
    assert builds_of(bench, task_id)["other"]["state"] == "running"
    refused = api.post(f"/tasks/{task_id}/skip", {"package": "slow-one"})
    assert (refused.status_code, content(refused)["error"]) == (409, "build_not_skippable")
    assert content(refused)["message"].endswith("These are: other.")
    gate.touch()
    end = bench.ended(task_id)
    assert (end["state"], [build["state"] for build in end["builds"]]) == ("completed", ["skipped", "done"])
    over = api.post(f"/tasks/{task_id}/skip", {"package": "other"})
    assert (over.status_code, content(over)["error"], content(over)["field"]) == (409, "build_not_skippable", "package")


def test_two_skips_at_once_both_arrive(bench: Bench, instance: StandIn, packs: list[Pack], gate: Path) -> None:
    """They are sent one after the other, and the run goes on once nothing is left to build."""
    task_id = started(bench, instance.ssh_command, instance, packs[0])
    for package in BUILDS:
        bench.installs.skip(task_id, package)
    end = bench.ended(task_id)
    assert (end["outcome"], [build["state"] for build in end["builds"]]) == ("all", ["skipped"] * 2)
    assert not gate.exists()


def test_a_skip_that_meets_a_cut_line_arrives_with_the_next_one(
    bench_factory: BenchFactory, instance: StandIn, packs: list[Pack], gate: Path
) -> None:
    """It is accepted while the task is interrupted."""
    bench = bench_factory(connect_timeout_seconds=2.0)
    with Relay(instance.port) as relay:
        command = instance.ssh_command.replace(str(instance.port), str(relay.port), 1)
        task_id = started(bench, command, instance, packs[0])
        relay.freeze()
        relay.cut()
        bench.until(task_id, lambda now: now["state"] == "interrupted", "the line is cut")
        assert bench.installs.skip(task_id, "slow-one")["state"] == "running"
        assert not skips_on(instance, task_id)
        relay.thaw()
        bench.until(task_id, lambda _now: builds_of(bench, task_id)["slow-one"]["state"] == "skipped", "it arrives", 60)
        gate.touch()
        assert bench.ended(task_id)["state"] == "completed"


def test_a_service_that_is_restarted_still_knows_it(
    bench_factory: BenchFactory, instance: StandIn, packs: list[Pack], gate: Path
) -> None:
    """What was asked for is in the record."""
    with Relay(instance.port) as relay:
        command = instance.ssh_command.replace(str(instance.port), str(relay.port), 1)
        first = bench_factory(connect_timeout_seconds=2.0)
        task_id = started(first, command, instance, packs[0])
        relay.freeze()
        relay.cut()
        first.installs.skip(task_id, "other")
        first.until(task_id, lambda _now: builds_of(first, task_id)["other"]["skip_requested"], "it is noted", 60)
        first.service.close()
        relay.thaw()
        second = bench_factory()
        second.until(task_id, lambda _now: builds_of(second, task_id)["other"]["state"] == "skipped", "it arrives", 60)
        gate.touch()
        assert [build["state"] for build in second.ended(task_id)["builds"]] == ["done", "skipped"]


def test_a_cancelled_task_builds_nothing(bench: Bench, instance: StandIn, packs: list[Pack], gate: Path) -> None:
    """And nothing of it can be skipped."""
    task_id = started(bench, instance.ssh_command, instance, packs[0])
    bench.installs.cancel(task_id)
    end = bench.ended(task_id)
    assert (end["state"], {build["state"] for build in end["builds"]}) == ("cancelled", {"unfinished"})
    refused = Api(bench.service.app).post(f"/tasks/{task_id}/skip", {"package": BUILDS[0]})
    assert (refused.status_code, gate.exists()) == (409, False)
    assert "builds nothing" in content(refused)["message"]


@pytest.mark.parametrize(
    ("task_id", "body", "status", "word"),
    [
        (UNKNOWN, {"package": "a"}, 404, "task_not_found"),
        ("x", {"package": "a"}, 400, "task_id"),
        (UNKNOWN, {}, 400, "package"),
        (UNKNOWN, {"package": ""}, 400, "package"),
        (UNKNOWN, {"package": 5}, 400, "package"),
        (UNKNOWN, {"package": ["a"]}, 400, "package"),
        (UNKNOWN, {"package": "a" * 201}, 400, "package"),
        (UNKNOWN, {"package": "a", "force": True}, 400, "force"),
    ],
)
def test_a_request_that_cannot_be_is_refused(
    bench: Bench, task_id: str, body: dict[str, Any], status: int, word: str
) -> None:
    """With the field that is at fault."""
    refused = Api(bench.service.app).post(f"/tasks/{task_id}/skip", body)
    assert refused.status_code == status
    assert word in {content(refused)["error"], content(refused).get("field")}
