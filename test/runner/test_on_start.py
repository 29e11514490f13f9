"""The script that brings a new machine up without any service: run by bash, as a provider does at a machine's start."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.protocol.other_files.own_script import write_provisioning, write_script
from app.protocol.other_files.read import read_file
from app.standin.git_rules import MISSING
from app.standin.git_server import GitServer
from app.standin.packs import add_commit, make_pack
from test.runner.rig import Rig, git, names_in

pytestmark = pytest.mark.slow


def lock_of(rig: Rig, *packs: tuple[str, str, str]) -> dict[str, Any]:
    listed = [{"name": name, "repo_url": url, "folder": name, "commit": commit} for name, url, commit in packs]
    return {"format": 1, "ui_home": str(rig.ui_home), "node_packs": listed, "packages": {}}


def run(rig: Rig, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """As `curl … | bash -s -- OPTIONS` does."""
    done = subprocess.run(
        ["bash", "-s", "--", "--scheme", "http", "--no-verify", *options],
        input=script,
        capture_output=True,
        text=True,
        env=rig.environ,
        timeout=60,
        check=False,
    )
    task_id = done.stdout.partition("Task ")[2].partition(";")[0]
    if task_id:
        Path(f"/tmp/custom_nodes_progress_{task_id}.json").unlink(missing_ok=True)
    return done


def test_a_fresh_machine_has_the_locks_packs_a_true_status_and_a_log(rig: Rig, git_server: GitServer) -> None:
    one, two = make_pack(git_server, "o", "one"), make_pack(git_server, "o", "two")
    add_commit(git_server, one, {"new.txt": "new"})
    lock = lock_of(rig, ("one", one.url, one.commit), ("two", two.url, two.commit))
    done = run(rig, write_script(lock, rig.pyz.read_bytes()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert names_in(rig.custom_nodes) == ["one", "two"]
    assert git(rig.custom_nodes / "one", "rev-parse", "HEAD") == one.commit
    log = (rig.state / "on-start" / "setup.log").read_text("utf-8")
    assert log == done.stdout
    assert log.rstrip().endswith("2 node packs are installed; restart ComfyUI to load them")


def test_the_status_tells_some_from_none_and_again_is_harmless(rig: Rig, git_server: GitServer) -> None:
    good = make_pack(git_server, "o", "good")
    git_server.set_rule("o/gone", MISSING)
    gone = ("gone", f"{git_server.url}/o/gone", "a" * 40)
    script = write_script(lock_of(rig, ("good", good.url, good.commit), gone), rig.pyz.read_bytes())
    assert [run(rig, script).returncode, run(rig, script).returncode] == [3, 3]
    assert run(rig, write_script(lock_of(rig, gone), rig.pyz.read_bytes())).returncode == 1
    assert names_in(rig.custom_nodes) == ["good"]


def test_a_damaged_file_runs_nothing(rig: Rig) -> None:
    script = write_script(lock_of(rig, ("one", "https://example.invalid/o/one", "a" * 40)), b"no zipapp")
    done = run(rig, script.replace("bm8gemlwYXBw", "bm8gemlwYXBx"))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "This file is damaged.\n")


def test_vasts_file_writes_the_script_and_runs_it(rig: Rig) -> None:
    """Nothing in it is for vast.ai's variables to fill in; the lock is read back from both."""
    lock = lock_of(rig, ("o'ne", "https://example.invalid/o/one", "a" * 40))
    lock["ui_home"] = "/work $(space)/it's/${COMFY}"
    text = write_provisioning(lock, b"\xff" * 200)
    found = yaml.safe_load(text)
    assert found["write_files"][0]["content"] == write_script(lock, b"\xff" * 200)
    assert found["post_commands"] == ["bash " + found["write_files"][0]["path"]]
    for each in (text, found["write_files"][0]["content"]):
        assert read_file(each, ["https"]).manifest == {"lock": lock}
