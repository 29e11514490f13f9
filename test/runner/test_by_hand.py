"""The runner's file by itself on a machine: `python3 nodeferry-….pyz install`, without any service."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from app.runner.daemon import processes
from app.standin.git_rules import MISSING, RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import add_commit, make_pack
from test.runner.rig import Rig, git, names_in
from test.support.waiting import wait_until

pytestmark = pytest.mark.slow

_HEADER = "Name,RepoUrl,Subfolder,RequirementsFile\n"


@pytest.fixture
def hand(rig: Rig) -> Hand:
    """A person at the machine's terminal."""
    return Hand(rig)


class Hand:
    """Types `python3 FILE install …`, with no flags to Python, as people do."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def argv(self, *options: str) -> list[str]:
        where = ["--ui-home", str(self.rig.ui_home), "--scheme", "http", "--no-verify"]
        return [self.rig.python, str(self.rig.pyz), "install", *where, *options]

    def types(self, *options: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.argv(*options),
            input=stdin,
            capture_output=True,
            text=True,
            env=self.rig.environ,
            timeout=60,
            check=False,
        )
        self._clean(done.stdout)
        return done

    def _clean(self, output: str) -> None:
        for task_id in re.findall(r"^Task (\S+);", output, re.MULTILINE):
            Path(f"/tmp/custom_nodes_progress_{task_id}.json").unlink(missing_ok=True)


def test_a_list_is_installed_with_a_line_for_what_happens(hand: Hand, git_server: GitServer, tmp_path: Path) -> None:
    """Each pack's states, a table, the sentence, and status 3 since one is not there."""
    good = make_pack(git_server, "o", "good")
    git_server.set_rule("o/gone", MISSING)
    (tmp_path / "list.csv").write_text(f"{_HEADER}good,{good.url},,\ngone,{git_server.url}/o/gone,,\n")
    done = hand.types("--csv", str(tmp_path / "list.csv"))
    assert done.returncode == 3, done.stdout + done.stderr
    assert re.search(rf"^\d\d:\d\d  \d/2 good: installed: {good.commits[-1][:10]}$", done.stdout, re.MULTILINE)
    assert re.search(r"^good +installed +[0-9a-f]{10}$", done.stdout, re.MULTILINE)
    assert re.search(r"^gone +failed +repository_not_found$", done.stdout, re.MULTILINE)
    assert "Check the repository's address" in done.stdout
    assert done.stdout.rstrip().endswith("1 of 2 node packs are installed; restart ComfyUI to load them")
    assert names_in(hand.rig.custom_nodes) == ["good"]


def test_all_good_is_status_0_and_none_is_1(hand: Hand, git_server: GitServer) -> None:
    """For scripts."""
    one, two = make_pack(git_server, "o", "one"), make_pack(git_server, "o", "two")
    git_server.set_rule("o/gone", MISSING)
    assert hand.types("--url", one.url, "--url", two.url).returncode == 0
    assert hand.types("--url", f"{git_server.url}/o/gone").returncode == 1
    assert hand.types("--csv", "-", stdin=f"{_HEADER}one,{one.url},,\n").returncode == 0


def test_ctrl_c_cancels_in_order(hand: Hand, git_server: GitServer) -> None:
    """Status 130; no process, no staging and no half pack is left."""
    slow = make_pack(git_server, "o", "slow", payload_bytes=400_000)
    git_server.set_rule(slow.repo, RepoRule(stall_after_bytes=50_000))
    with subprocess.Popen(
        hand.argv("--url", slow.url), stdout=subprocess.PIPE, text=True, env=hand.rig.environ
    ) as child:
        assert child.stdout is not None
        task_id = child.stdout.readline().split()[1].rstrip(";")
        wait_until(lambda: processes.marked(task_id), 20, "git runs")
        child.send_signal(signal.SIGINT)
        rest = child.stdout.read()
        assert child.wait(20) == 130, rest
    hand._clean(f"Task {task_id}; ")
    assert "slow: cancelled" in rest or re.search(r"^slow +cancelled", rest, re.MULTILINE)
    assert processes.marked(task_id) == set()
    assert names_in(hand.rig.custom_nodes) == []


def test_what_cannot_be_done_is_told_and_changes_nothing(hand: Hand, tmp_path: Path) -> None:
    """A wrong command line is status 2, a ComfyUI that is not there 1."""
    assert hand.types().returncode == 2
    assert hand.types("--csv", str(tmp_path / "no.csv")).returncode == 2
    (tmp_path / "bad.json").write_text("{")
    assert hand.types("--lock", str(tmp_path / "bad.json")).returncode == 2
    done = hand.types("--url", "https://example.invalid/o/p", "--ui-home", str(tmp_path / "none"))
    assert done.returncode == 1
    assert "Error: There is no folder" in done.stdout
    assert not (hand.rig.custom_nodes).exists() or names_in(hand.rig.custom_nodes) == []


def test_a_snapshot_of_comfyui_manager_is_a_lock(hand: Hand, git_server: GitServer, tmp_path: Path) -> None:
    """The commit of then is checked out, and what cannot be had from a snapshot is told."""
    pack = make_pack(git_server, "o", "pinned")
    add_commit(git_server, pack, {"new.txt": "new"})
    nodes = {pack.url: {"hash": pack.commit, "disabled": False}}
    (tmp_path / "snapshot.json").write_text(
        json.dumps({"git_custom_nodes": nodes, "cnr_custom_nodes": {"other": "1.0"}})
    )
    done = hand.types("--lock", str(tmp_path / "snapshot.json"))
    assert done.returncode == 0, done.stdout
    assert git(hand.rig.custom_nodes / "pinned", "rev-parse", "HEAD") == pack.commit
    assert "Warning: other cannot be had: It comes from the registry" in done.stdout


def test_the_journal_is_kept_as_in_any_run(hand: Hand, git_server: GitServer) -> None:
    """So that status, follow and a bug report work alike."""
    pack = make_pack(git_server, "o", "kept")
    done = hand.types("--url", pack.url)
    task_id = done.stdout.split()[1].rstrip(";")
    assert hand.rig.call("status", task_id)["status"] == "ended"
    assert json.loads((hand.rig.state / task_id / "request.json").read_text())["manifest"] == {"urls": [pack.url]}
