"""A cancel on the instance: every process of the run is gone, its staging too, and the lock is free."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, PackSource, make_pack
from test.support.package_index import PackageIndex
from test.support.waiting import wait_until
from test.sync.conftest import Bench, BenchFactory, Gate

pytestmark = [pytest.mark.sshd, pytest.mark.quiet]

CANCEL_SECONDS = 5.0
LARGE = 4_000_000
"""At the pace below it takes a minute, as 200 MB do on a slow line; to make more costs this test seconds."""
BUILDING = """
import subprocess, sys
gcc = ["gcc", "-O2", "-x", "c", "-", "-c", "-o"]
children = [subprocess.Popen([*gcc, f"part{number}.o"], stdin=subprocess.PIPE) for number in range(2)]
waits = [sys.executable, "-c", "import select; select.select([], [], [], 600)"]
children.append(subprocess.Popen(waits, start_new_session=True))
for child in children:
    child.wait()
"""
"""Two compilers whose source never ends, and a helper in a session of its own: what a long build looks like."""


def _processes_of(task_id: str) -> dict[int, str]:
    """The live processes that carry the run's mark, and their command lines."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            marked = f"NODEFERRY_TASK_ID={task_id}".encode() in path.read_bytes().split(b"\0")
            line = (path.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if marked:
            found[int(path.parent.name)] = line
    return found


def _runs(task_id: str, word: str) -> bool:
    return any(word in line for line in _processes_of(task_id).values())


def _staging(instance: StandIn) -> list[Path]:
    return list(instance.custom_nodes.glob(".nodeferry*"))


def _cancelled_at_once(bench: Bench, instance: StandIn, task_id: str) -> dict[str, Any]:
    """Cancels; all is gone within the time, and told. The last progress."""
    asked = time.monotonic()
    assert bench.installs.cancel(task_id).value in {"cancelling", "cancelled"}
    wait_until(lambda: not _processes_of(task_id), CANCEL_SECONDS, "no process of the run is left")
    end = bench.ended(task_id, timeout=CANCEL_SECONDS)
    assert time.monotonic() - asked < CANCEL_SECONDS
    assert (end["state"], end["error"], end["return_code"]) == ("cancelled", None, 130), end
    assert not _staging(instance)
    return end


def _lock_is_free(bench: Bench, instance: StandIn, pack: Pack) -> None:
    """The next install on the same ComfyUI works."""
    assert bench.ended(bench.start(instance.ssh_command, pack, ui_home=instance.ui_home))["outcome"] == "all"


@pytest.mark.slow
def test_during_a_large_clone(bench: Bench, instance: StandIn, packs: list[Pack], git_server: GitServer) -> None:
    """git and its helpers are gone within five seconds; packs that were there stay, the half one leaves nothing."""
    large = make_pack(git_server, "o", "large", PackSource(payload_bytes=LARGE))
    git_server.set_rule(large.repo, RepoRule(bytes_per_second=LARGE / 60))
    task_id = bench.start(instance.ssh_command, *packs, large, ui_home=instance.ui_home)

    def half_way() -> bool:
        nodes = {row["name"]: row for row in bench.installs.progress(task_id)["nodes"]}
        return (
            bool(nodes) and nodes["large"]["clone_progress"] > 2 and all(nodes[pack.name]["commit"] for pack in packs)
        )

    wait_until(half_way, 30, "the large one is on its way, the others are there")
    assert _runs(task_id, "git")
    assert _staging(instance)
    _cancelled_at_once(bench, instance, task_id)
    assert not (instance.custom_nodes / "large").exists()
    assert all((instance.custom_nodes / pack.name / "__init__.py").is_file() for pack in packs)
    _lock_is_free(bench, instance, packs[0])


@pytest.mark.slow
@pytest.mark.registry
def test_during_a_compile(
    bench: Bench,
    standin_factory: Callable[..., StandIn],
    git_server: GitServer,
    uv_program: Path,
    tmp_path: Path,
) -> None:
    """uv, the build, its compilers and what it started in a session of its own: all are gone within five seconds."""
    with PackageIndex(tmp_path / "index") as index:
        index.sdist("slowly-built", "1.0", building=BUILDING)
        environ = {"UV_DEFAULT_INDEX": index.url, "UV_CACHE_DIR": str(tmp_path / "uv"), "UV_NO_CONFIG": "1"}
        environ["PIP_CONFIG_FILE"] = os.devnull
        instance = standin_factory(environ=environ)
        uv = instance.home / ".local" / "bin" / "uv"
        uv.parent.mkdir(parents=True)
        uv.symlink_to(uv_program)
        plain, builds = (
            make_pack(git_server, "o", "plain"),
            make_pack(git_server, "o", "builds", requirements="slowly-built\n"),
        )
        task_id = bench.start(instance.ssh_command, plain, builds, ui_home=instance.ui_home)
        wait_until(lambda: _runs(task_id, "cc1"), 60, "the compiler works")
        wait_until(lambda: _runs(task_id, "select.select"), 60, "the helper works")
        end = _cancelled_at_once(bench, instance, task_id)
        assert end["nodes"][1]["state"] == "cancelled"
        _lock_is_free(bench, instance, plain)


def test_during_a_script_twice(bench: Bench, instance: StandIn, packs: list[Pack], gate: Gate) -> None:
    """The second cancel changes nothing; packs that were done stay, and are told."""
    task_id = bench.start(instance.ssh_command, *packs, gate.pack, ui_home=instance.ui_home)
    bench.until(task_id, lambda progress: progress["phase"] == "scripts", "the run is at its scripts")
    bench.installs.cancel(task_id)
    bench.service.app.test_client().post(f"/tasks/{task_id}/cancel")
    end = bench.ended(task_id, timeout=CANCEL_SECONDS)
    assert (end["state"], end["return_code"]) == ("cancelled", 130), end
    assert [row["state"] for row in end["nodes"]] == ["installed"] * 3 + ["cancelled"]
    assert not _processes_of(task_id)
    assert not _staging(instance)


def test_an_instance_that_is_not_reached_is_told_and_cancelled_when_it_is_back(
    bench_factory: BenchFactory, instance: StandIn, gate: Gate
) -> None:
    """The task stays `cancelling`, says so and when it tries next, also over a restart of the service; then it ends."""
    first = bench_factory()
    task_id = first.start(instance.ssh_command, gate.pack, ui_home=instance.ui_home)
    first.until(task_id, lambda progress: progress["phase"] == "scripts", "the run is at its scripts")
    instance.stop_sshd()
    instance.kill_connections()
    first.until(task_id, lambda progress: progress["state"] == "interrupted", "the cut is noticed")
    assert first.installs.cancel(task_id).value == "cancelling"
    first.until(task_id, lambda progress: progress["message_code"] == "cancel_unreached", "it is told")
    first.until(task_id, lambda progress: progress["next_attempt_at"], "so is the next try")
    assert "is stopped there as soon as it answers" in first.installs.progress(task_id)["message"]
    first.service.close()
    second = bench_factory()
    second.until(task_id, lambda progress: progress["message_code"] == "cancel_unreached", "it is told again")
    assert second.installs.progress(task_id)["state"] == "cancelling"
    assert _processes_of(task_id)
    instance.start_sshd()
    end = second.ended(task_id)
    assert (end["state"], end["error"]) == ("cancelled", None), end
    assert not _processes_of(task_id)


@pytest.mark.slow
def test_a_cancel_does_not_wait_for_an_instance_that_is_frozen_before_the_start(
    bench: Bench, instance: StandIn, packs: list[Pack]
) -> None:
    """The upload's short commands know no event: the line is cut under them."""
    hold = instance.home / ".local" / "bin" / "sh-hold"
    hold.touch()
    (instance.home / ".bashrc").write_text(f"while [ -e {hold} ]; do read -t 0.1 -r _ < <(:) || true; done\n", "utf-8")
    task_id = bench.start(instance.ssh_command, *packs, ui_home=instance.ui_home)
    bench.until(task_id, lambda progress: progress["phase"] == "upload", "the first command is asked for")
    asked = time.monotonic()
    bench.installs.cancel(task_id)
    assert bench.ended(task_id, timeout=CANCEL_SECONDS)["state"] == "cancelled"
    assert time.monotonic() - asked < CANCEL_SECONDS
    hold.unlink()
