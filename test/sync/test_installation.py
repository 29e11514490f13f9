"""The life of an install on a real sshd: from the start to the end, whatever happens to the line and to the runner."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.domain.address import parse_address
from app.domain.errors import HostKeyMismatch, RunnerError
from app.standin.instance import StandIn
from app.standin.packs import Pack
from app.sync.installs import worker
from test.support.waiting import wait_until
from test.sync.conftest import Bench, BenchFactory, Gate

pytestmark = pytest.mark.sshd


def test_it_works(bench: Bench, instance: StandIn, packs: list[Pack]) -> None:
    """Packs end up installed, with their commits, and the progress says so."""
    task_id = bench.start(instance.ssh_command, *packs, ui_home=instance.ui_home)
    assert bench.installs.progress(task_id)["phase"] == "connect"
    end = bench.ended(task_id)
    assert (end["state"], end["outcome"], end["successful"], end["percent"]) == ("completed", "all", 3, 100.0), end
    assert [node["commit"] for node in end["nodes"]] == [pack.commit for pack in packs]
    assert all((instance.custom_nodes / pack.name / "__init__.py").is_file() for pack in packs)
    wait_until(lambda: instance.connections() == 0, what="the connection is closed")


def test_shell_noise_and_a_banner_change_nothing(
    bench: Bench, instances: Callable[..., StandIn], packs: list[Pack]
) -> None:
    """What the login shell prints is not taken for the runner's answers; a ui_home is quoted whatever is in it."""
    name = "a 'ComfyUI' \"with\" $(touch hacked)`touch hacked` ; & | #"
    bashrc = "echo welcome; echo oops >&2; printf '\\033[32mvenv\\033[0m no newline'\n"
    noisy = instances(bashrc=bashrc, banner="*** authorised use only ***\n", ui_home_name=name)
    end = bench.ended(bench.start(noisy.ssh_command, *packs, ui_home=noisy.ui_home))
    assert (end["outcome"], end["successful"]) == ("all", 3), end
    assert all((noisy.custom_nodes / pack.name / "__init__.py").is_file() for pack in packs)
    assert not list(noisy.root.rglob("hacked"))
    assert not (Path.home() / "hacked").exists()


def test_a_killed_runner_is_told_and_swept_within_15_seconds(
    bench: Bench, instance: StandIn, packs: list[Pack], gate: Gate
) -> None:
    """The task is failed with runner_lost, what the runner left is ended, packs that are there stay, and the next
    install works."""
    task_id = bench.start(instance.ssh_command, *packs, gate.pack, ui_home=instance.ui_home)
    bench.until(task_id, lambda progress: progress["phase"] == "scripts", "the run is at its scripts")
    killed = time.monotonic()
    os.kill(_runner_pid(instance, task_id), signal.SIGKILL)
    end = bench.ended(task_id, timeout=15)
    assert time.monotonic() - killed < 15
    assert (end["state"], end["error"]["code"]) == ("failed", "runner_lost"), end
    assert not _processes_of(task_id)
    assert end["success"] is False
    assert [node["state"] for node in end["nodes"]] == ["installed"] * 3 + ["failed"]
    assert not list(instance.custom_nodes.glob(".nodeferry*"))
    again = bench.start(instance.ssh_command, packs[0], ui_home=instance.ui_home)
    assert bench.ended(again)["outcome"] == "all"


def test_a_runner_that_is_killed_while_the_line_is_cut_is_told_too(bench: Bench, instance: StandIn, gate: Gate) -> None:
    """Attaching again finds the run dead."""
    task_id = bench.start(instance.ssh_command, gate.pack, ui_home=instance.ui_home)
    bench.until(task_id, lambda progress: progress["phase"] == "scripts", "the run is at its scripts")
    instance.stop_sshd()
    instance.kill_connections()
    bench.until(task_id, lambda progress: progress["state"] == "interrupted", "the cut is noticed")
    os.kill(_runner_pid(instance, task_id), signal.SIGKILL)
    instance.start_sshd()
    end = bench.ended(task_id)
    assert (end["state"], end["error"]["code"]) == ("failed", "runner_lost"), end


def test_cancel_during_a_cut_reaches_the_instance_when_it_is_back(bench: Bench, instance: StandIn, gate: Gate) -> None:
    """A cancel that cannot be delivered at once is delivered after the line is mended."""
    task_id = bench.start(instance.ssh_command, gate.pack, ui_home=instance.ui_home)
    bench.until(task_id, lambda progress: progress["phase"] == "scripts", "the run is at its scripts")
    instance.stop_sshd()
    instance.kill_connections()
    bench.until(task_id, lambda progress: progress["state"] == "interrupted", "the cut is noticed")
    assert bench.installs.cancel(task_id).value == "cancelling"
    instance.start_sshd()
    end = bench.ended(task_id)
    assert (end["state"], end["error"]) == ("cancelled", None), end
    assert not _processes_of(task_id)


def test_a_new_service_goes_on_where_the_old_one_was(
    bench_factory: BenchFactory, instance: StandIn, packs: list[Pack], gate: Gate
) -> None:
    """A closed service lets the run go on; the next one on the data folder attaches to it, and nothing is lost."""
    old = bench_factory()
    task_id = old.start(instance.ssh_command, *packs, gate.pack, ui_home=instance.ui_home)
    old.until(task_id, lambda progress: progress["phase"] == "scripts", "the run is at its scripts")
    old.service.close()
    left = old.installs.progress(task_id)
    assert left["state"] == "running"
    new = bench_factory()
    assert new.installs.progress(task_id)["revision"] >= left["revision"]
    gate.open()
    end = new.ended(task_id)
    assert (end["state"], end["outcome"], end["successful"]) == ("completed", "all", 4), end
    journal = instance.home / ".local/state/nodeferry" / task_id / "journal.ndjson"
    record = new.service.installs.task(task_id)
    assert record["progress"]["successful"] == 4
    assert sum(json.loads(line)["event"] == "run_started" for line in journal.read_text().splitlines()) == 1


def test_an_ended_install_is_answered_from_its_record_after_a_restart(
    bench_factory: BenchFactory, instance: StandIn, packs: list[Pack]
) -> None:
    """The same progress, from disk alone."""
    old = bench_factory()
    task_id = old.start(instance.ssh_command, *packs, ui_home=instance.ui_home)
    before = old.ended(task_id)
    old.service.close()
    instance.stop_sshd()
    after = bench_factory().installs.progress(task_id)
    assert _without_clock(after) == _without_clock(before)


def test_a_journal_that_makes_no_sense_changes_nothing(bench: Bench, instance: StandIn, gate: Gate) -> None:
    """A line that the run did not write is ignored and told; nothing is made up from it."""
    task_id = bench.start(instance.ssh_command, gate.pack, ui_home=instance.ui_home)
    bench.until(task_id, lambda progress: progress["phase"] == "scripts", "the run is at its scripts")
    with (instance.home / ".local/state/nodeferry" / task_id / "journal.ndjson").open("ab") as journal:
        journal.write(b'{"event": "nonsense"}\n')
    gate.open()
    end = bench.ended(task_id)
    assert (end["state"], end["error"]) == ("completed", None), end
    assert [warning["code"] for warning in end["warnings"]] == ["journal_changed"]
    assert not _processes_of(task_id)


def test_a_cancel_whose_instance_never_comes_back_ends_and_says_so(
    bench_factory: BenchFactory, instance: StandIn, gate: Gate
) -> None:
    """Rented machines vanish: a cancel does not wait for them for ever, and does not claim what it cannot know."""
    bench = bench_factory(reconnect_seconds=2.0)
    task_id = bench.start(instance.ssh_command, gate.pack, ui_home=instance.ui_home)
    bench.until(task_id, lambda progress: progress["phase"] == "scripts", "the run is at its scripts")
    instance.stop_sshd()
    instance.kill_connections()
    bench.until(task_id, lambda progress: progress["state"] == "interrupted", "the cut is noticed")
    bench.installs.cancel(task_id)
    end = bench.ended(task_id, timeout=15)
    assert (end["state"], end["error"]["code"]) == ("cancelled", "connect_failed"), end
    assert "could not be reached" in end["error"]["message"]


def test_a_bug_ends_the_task_with_an_id_to_look_for(
    bench: Bench,
    instance: StandIn,
    packs: list[Pack],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever escapes, the task is not `running` for ever, and its exclusive key is free again."""
    with monkeypatch.context() as broken:
        broken.setattr(worker, "pack_runner", None)
        end = bench.ended(bench.start(instance.ssh_command, *packs, ui_home=instance.ui_home))
    assert (end["state"], end["error"]["code"]) == ("failed", "internal_error"), end
    incident = end["error"]["message"].partition("incident ")[2][:12]
    assert any(incident in record.getMessage() and record.exc_info for record in caplog.records)
    again = bench.start(instance.ssh_command, *packs, ui_home=instance.ui_home)
    assert bench.ended(again)["outcome"] == "all"


def test_a_check_looks_without_installing(bench: Bench, instance: StandIn) -> None:
    """POST /ssh/test's answer: host key, ComfyUI, interpreter, torch, GPU, disk."""
    found = bench.service.checks.test(parse_address(instance.ssh_command), str(instance.ui_home))
    assert found["success"] is True
    assert found["host_key"]["sha256"] == instance.host_key_sha256
    assert found["ui_home"] == str(instance.ui_home)
    assert found["torch"]["version"] == "2.9.1+cu128"
    assert {"gpu", "interpreter", "disk_free_bytes"} <= set(found)
    assert not list(instance.custom_nodes.glob("*/"))


def test_a_check_of_a_wrong_folder_says_so(bench: Bench, instance: StandIn) -> None:
    """The reason is the runner's own."""
    with pytest.raises(RunnerError) as raised:
        bench.service.checks.test(parse_address(instance.ssh_command), "/nowhere")
    assert raised.value.code == "ui_home_not_found"


def test_host_keys_are_accepted_by_their_fingerprint_only(bench: Bench, instance: StandIn) -> None:
    """Another fingerprint changes nothing; the right one pins the key, and it can be forgotten."""
    checks, address = bench.service.checks, parse_address(instance.ssh_command)
    with pytest.raises(HostKeyMismatch):
        checks.accept(address, "SHA256:" + "A" * 43)
    assert checks.host_keys() == []
    accepted = checks.accept(address, instance.host_key_sha256)
    assert checks.host_keys() == [accepted]
    assert accepted["source"] == "accepted"
    assert checks.forget(accepted["host"], accepted["port"]) == 1


def test_a_changed_host_key_ends_the_install(
    bench: Bench, instances: Callable[..., StandIn], packs: list[Pack]
) -> None:
    """Nothing is sent to a machine that is another one; it is not tried again."""
    one = instances()
    other = "SHA256:" + "B" * 43
    task_id = bench.start(one.ssh_command, *packs, ui_home=one.ui_home, host_key_sha256=other, wait_seconds=60)
    end = bench.ended(task_id, timeout=10)
    assert (end["state"], end["error"]["code"]) == ("failed", "host_key_mismatch"), end


def test_a_run_that_has_gone_from_the_instance_is_lost_and_not_begun_anew(
    bench: Bench, instance: StandIn, gate: Gate, tmp_path: Path
) -> None:
    """A journal that is shorter than what was read of it belongs to another run."""
    task_id = bench.start(instance.ssh_command, gate.pack, ui_home=instance.ui_home)
    bench.until(task_id, lambda progress: progress["phase"] == "scripts", "the run is at its scripts")
    instance.stop_sshd()
    instance.kill_connections()
    bench.until(task_id, lambda progress: progress["state"] == "interrupted", "the cut is noticed")
    os.kill(_runner_pid(instance, task_id), signal.SIGKILL)
    (instance.home / ".local/state/nodeferry" / task_id).rename(tmp_path / "gone")
    for pid in _processes_of(task_id):
        os.kill(pid, signal.SIGKILL)
    instance.start_sshd()
    end = bench.ended(task_id)
    assert (end["state"], end["error"]["code"]) == ("failed", "runner_lost"), end
    wait_until(lambda: not _processes_of(task_id), what="the new run is stopped")


def _essence(progress: dict[str, Any]) -> dict[str, Any]:
    """What two runs of the same packs must agree on."""
    names = ("name", "state", "error", "commit", "requirements_status", "script_status")
    counts = ("state", "outcome", "total_nodes", "processed", "successful", "failed", "return_code", "error")
    nodes = [{name: node[name] for name in names} for node in progress["nodes"]]
    return {**{name: progress[name] for name in counts}, "nodes": nodes}


def _without_clock(progress: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in progress.items() if name != "last_event_seconds_ago"}


def _runner_pid(instance: StandIn, task_id: str) -> int:
    """The pid that the runner itself has told."""
    journal = instance.home / ".local/state/nodeferry" / task_id / "journal.ndjson"
    return int(json.loads(journal.read_text().splitlines()[0])["pid"])


def _processes_of(task_id: str) -> list[int]:
    """The live processes that carry the run's mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            marked = f"NODEFERRY_TASK_ID={task_id}".encode() in path.read_bytes().split(b"\0")
        except OSError:
            continue
        if marked:
            found.append(int(path.parent.name))
    return found
