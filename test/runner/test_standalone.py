"""The runner's file by itself on a machine: `python3 nodeferry-….pyz install`, without any service."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from app.cli.commands.install import install
from app.runner.process import processes
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

    def argv(self, *options: str, verify: bool = False) -> list[str]:
        where = ["--ui-home", str(self.rig.ui_home), "--scheme", "http", *([] if verify else ["--no-verify"])]
        return [self.rig.python, str(self.rig.pyz), "install", *where, *options]

    def types(
        self, *options: str, stdin: str = "", verify: bool = False, environ: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.argv(*options, verify=verify),
            input=stdin,
            capture_output=True,
            text=True,
            env={**self.rig.environ, **environ},
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
    assert hand.types("--url", f"{one.url}/tree/main/docs", "--url", f"<{two.url}/>,").returncode == 0
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
        json.dumps({"git_custom_nodes": nodes, "cnr_custom_nodes": {"other": "nightly"}})
    )
    done = hand.types("--lock", str(tmp_path / "snapshot.json"))
    assert done.returncode == 0, done.stdout
    assert git(hand.rig.custom_nodes / "pinned", "rev-parse", "HEAD") == pack.commit
    assert "Warning: other was left out: Its nightly version is its repository" in done.stdout


def test_the_journal_is_kept_as_in_any_run(hand: Hand, git_server: GitServer) -> None:
    """So that status, follow and a bug report work alike."""
    pack = make_pack(git_server, "o", "kept")
    done = hand.types("--url", pack.url)
    task_id = done.stdout.split()[1].rstrip(";")
    assert hand.rig.call("status", task_id)["status"] == "ended"
    assert json.loads((hand.rig.state / task_id / "request.json").read_text())["manifest"] == {"urls": [pack.url]}


def test_help_explains_itself(hand: Hand) -> None:
    """Examples, the list's header, and what the exit status means."""
    done = hand.types("--help")
    assert done.returncode == 0
    for words in ("--csv FILE", "--lock FILE", "--plan-only", "Name,RepoUrl,Subfolder", "exit status: 0", "examples:"):
        assert words in done.stdout


def test_the_file_by_itself_says_how_to_install(hand: Hand) -> None:
    """Before any word of the service's own commands; the flags are those of the command line."""
    for words, status in ((["--help"], 0), ([], 2)):
        done = subprocess.run(
            [hand.rig.python, str(hand.rig.pyz), *words],
            capture_output=True,
            text=True,
            env=hand.rig.environ,
            timeout=60,
            check=False,
        )
        assert done.returncode == status
        assert done.stdout.startswith(f"usage: python3 {hand.rig.pyz.name} install (--csv FILE | --url URL")
        assert done.stdout.index("install --help") < done.stdout.index("follow, status")
    flags = set(re.findall(r"^  (--[a-z-]+)", hand.types("--help").stdout, re.MULTILINE))
    own = {name for param in install.params for name in (*param.opts, *param.secondary_opts) if name.startswith("--")}
    assert flags - own == {"--scheme", "--known-bad"}


def test_a_list_that_cannot_be_begins_nothing(hand: Hand, tmp_path: Path) -> None:
    """Status 2, with the row that is wrong; no task is there."""
    bad = hand.types(
        "--csv", "-", stdin=f"{_HEADER}ok,https://example.invalid/o/p,,\n../up,https://example.invalid/o/q,,\n"
    )
    assert bad.returncode == 2
    assert "Line 3" in bad.stderr and "Traceback" not in bad.stderr
    (tmp_path / "latin.csv").write_bytes(_HEADER.encode() + b"caf\xe9,https://example.invalid/o/p,,\n")
    latin = hand.types("--csv", str(tmp_path / "latin.csv"))
    assert (latin.returncode, "Save the list as UTF-8" in latin.stderr) == (2, True)
    (tmp_path / "m.json").write_text('{"nodes": [], "urls": []}')
    assert "exactly one of" in hand.types("--manifest", str(tmp_path / "m.json")).stderr
    assert hand.types("--url", "https://example.invalid/o/p", "--exact").returncode == 2
    assert not hand.rig.state.exists()


def test_a_plan_changes_nothing(hand: Hand, git_server: GitServer, tmp_path: Path) -> None:
    """It says so, and how to go on."""
    pack = make_pack(git_server, "o", "planned")
    (tmp_path / "m.json").write_text(json.dumps([{"name": "planned", "repo_url": pack.url}]))
    done = hand.types("--nodes", str(tmp_path / "m.json"), "--plan-only")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("nothing was changed; leave out --plan-only to install.")
    assert names_in(hand.rig.custom_nodes) == []


def test_a_lock_brings_its_commits(hand: Hand, git_server: GitServer, tmp_path: Path) -> None:
    """The lock that an earlier run left in its journal, alone or as the service answers it."""
    pack = make_pack(git_server, "o", "pinned")
    first = hand.types("--url", pack.url)
    journal = hand.rig.state / first.stdout.split()[1].rstrip(";") / "journal.ndjson"
    (event,) = [json.loads(line) for line in journal.read_text().splitlines() if '"event":"lock"' in line]
    add_commit(git_server, pack, {"new.txt": "new"})
    assert hand.types("--url", pack.url, "--existing", "update").returncode == 0
    for number, lock in enumerate((event["lock"], {"success": True, "lock": event["lock"]})):
        (tmp_path / f"{number}.json").write_text(json.dumps(lock))
        done = hand.types("--lock", str(tmp_path / f"{number}.json"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert git(hand.rig.custom_nodes / "pinned", "rev-parse", "HEAD") == pack.commit


def test_what_comfyui_says_is_told(hand: Hand, git_server: GitServer) -> None:
    """How many it imports, why not, and that a restart is needed."""
    good = make_pack(git_server, "o", "good", files={"__init__.py": "NODE_CLASS_MAPPINGS = {}"})
    bad = make_pack(git_server, "o", "bad", files={"__init__.py": "1/0"})
    done = hand.types("--url", good.url, "--url", bad.url, verify=True)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Node packs: 1 of 2 ready, 1 failed." in done.stdout
    assert "ZeroDivisionError" in done.stdout
    assert done.stdout.rstrip().endswith("1 of 2 node packs are installed; restart ComfyUI to load them")


@pytest.mark.parametrize("environ", [{"LC_ALL": "C", "TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}, {"LANG": "POSIX"}])
def test_any_terminal_will_do(hand: Hand, git_server: GitServer, environ: dict[str, str]) -> None:
    """A list with other letters, from a pipe with a byte order mark, in a locale that has none of them."""
    pack = make_pack(git_server, "o", "plain")
    done = hand.types("--csv", "-", stdin=f"\ufeff{_HEADER}caf\xe9\u4e2d,{pack.url},,\n", environ=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert names_in(hand.rig.custom_nodes) == ["caf\xe9\u4e2d"]


def test_a_reader_that_goes_away_stops_nothing(hand: Hand, git_server: GitServer) -> None:
    """As `| head -1` does: the install goes on, and its status is still its own."""
    pack = make_pack(git_server, "o", "unread")
    with subprocess.Popen(
        hand.argv("--url", pack.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=hand.rig.environ
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        first = child.stdout.readline()
        child.stdout.close()
        said = child.stderr.read()
        assert child.wait(30) == 0
    hand._clean(first)
    assert said == ""
    assert names_in(hand.rig.custom_nodes) == ["unread"]
