"""Cases of clones: repositories, servers, refs, and folders that are there already."""

from __future__ import annotations

import subprocess

from app.standin.git_rules import MISSING, PRIVATE, RepoRule
from app.standin.instance import StandIn
from app.standin.packs import PackSource
from bench.faults.case import GOOD, Fault, failed

_BIG = PackSource(payload_bytes=300_000)
_NETWORK = "Check the instance's internet connection, then start again"


def _change_it(standin: StandIn, name: str, url: str) -> None:
    folder = standin.custom_nodes / name
    subprocess.run(["git", "clone", "-q", url, str(folder)], check=True, capture_output=True, timeout=60)
    (folder / "VERSION").write_text("mine\n", "utf-8")


def _take_name(standin: StandIn, name: str, _url: str) -> None:
    (standin.custom_nodes / name).mkdir()
    (standin.custom_nodes / name / "notes.txt").write_text("mine\n", "utf-8")


CLONES = (
    Fault("repository is missing", failed("repository_not_found", "Check the repository's address"), rule=MISSING),
    Fault(
        "repository is private",
        failed("repository_not_found_or_private", "If it is private, set up git credentials"),
        rule=PRIVATE,
    ),
    Fault(
        "host is not reached",
        failed("host_not_reached", _NETWORK),
        entry={"repo_url": "http://127.0.0.1:1/o/unreached"},
    ),
    Fault("server limits the rate", failed("rate_limited", "Wait a few minutes"), rule=RepoRule(status=429)),
    Fault("server stalls", failed("stalled", _NETWORK), _BIG, rule=RepoRule(stall_after_bytes=50_000)),
    Fault("cut in the middle", failed("transfer_cut", _NETWORK), _BIG, rule=RepoRule(cut_after_bytes=50_000)),
    Fault("cut in the middle, once", GOOD, _BIG, rule=RepoRule(cut_after_bytes=50_000, times=1)),
    Fault(
        "no such branch", failed("bad_ref", "Correct the ref (branch, tag or commit)"), entry={"ref": "no-such-branch"}
    ),
    Fault(
        "no such commit",
        failed("bad_ref", "Correct the ref (branch, tag or commit)"),
        entry={"ref": "0123456789abcdef0123456789abcdef01234567"},
    ),
    Fault(
        "its parent is missing",
        failed("parent_missing", "Add the pack that no-parent/child belongs to above it"),
        entry={"subfolder": "no-parent/child"},
    ),
    Fault(
        "tracked files were changed",
        failed("local_changes", "Commit and push the changes, or move the folder away"),
        prepare=_change_it,
    ),
    Fault("its name is taken", failed("name_taken", "Move it away, then start again"), prepare=_take_name),
)
