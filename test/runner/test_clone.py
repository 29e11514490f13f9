"""Clones: what goes wrong is told with its reason, and ComfyUI never sees half a pack."""

from __future__ import annotations

import itertools
import os
import socket
import threading

import pytest

from app.protocol.events import NodeChanged, NodeProgress
from app.standin.git_rules import MISSING, PRIVATE, RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import make_pack, payload
from test.runner.rig import QUICK, Rig, git, make_linked_pack, names_in, node
from test.support.waiting import wait_until

pytestmark = pytest.mark.slow


def test_each_way_to_fail_has_its_reason_and_costs_only_its_pack(rig: Rig, git_server: GitServer) -> None:
    """404, 401, a host that is not there, a ref that is not there, an empty repository; the good pack is installed."""
    missing, private, good = (make_pack(git_server, "o", name) for name in ("missing", "private", "good"))
    git_server.set_rule("o/missing", MISSING)
    git_server.set_rule("o/private", PRIVATE)
    git(git_server.folder, "init", "-q", "--bare", "o/empty.git")
    with socket.socket() as listener:  # bound, not listening: the port refuses
        listener.bind(("127.0.0.1", 0))
        away = {"name": "away", "repo_url": f"http://127.0.0.1:{listener.getsockname()[1]}/o/away"}
        nodes = [
            node(missing),
            node(private),
            away,
            node(good, name="no-branch", ref="no-such-branch"),
            node(good, name="no-commit", ref="f" * 40),
            {"name": "empty", "repo_url": f"{git_server.url}/o/empty"},
            node(good),
        ]
        run = rig.install(nodes)
    assert {name: run.state(name) for name in run.snapshot().nodes} == {
        "missing": "failed repository_not_found",
        "private": "failed repository_not_found_or_private",
        "away": "failed host_not_reached",
        "no-branch": "failed bad_ref",
        "no-commit": "failed bad_ref",
        "empty": "failed empty_repository",
        "good": "installed",
    }
    assert names_in(rig.custom_nodes) == ["good"]
    for shown in run.snapshot().nodes.values():
        assert shown.error is None or (shown.error.hint and len(shown.error.message) < 400)


def test_a_branch_a_tag_and_a_commit_are_honoured(rig: Rig, git_server: GitServer) -> None:
    """Each pin is checked out, of a repository with a history."""
    pack = make_pack(git_server, "o", "pack", history=4, tags={"v2": 1})
    git(git_server.path_of("o", "pack"), "branch", "dev/old", pack.commits[0])
    pins = {"branch": ("dev/old", 0), "tag": ("v2", 1), "commit": (pack.commits[2], 2), "none": (None, 3)}
    run = rig.install([node(pack, name=name, ref=ref) for name, (ref, _) in pins.items()])
    for name, (_, number) in pins.items():
        assert run.snapshot().nodes[name].commit == pack.commits[number]
        assert (rig.custom_nodes / name / "VERSION").read_text() == f"{number + 1}\n"


def test_submodules_come_along(rig: Rig, git_server: GitServer) -> None:
    """At the commit that the pack names, with a pin too; without a missing one it has a problem."""
    library = make_pack(git_server, "o", "library", files={"answer.py": "ANSWER = 42\n"})
    pack = make_pack(git_server, "o", "pack", submodules={"vendor/lib": library})
    lost = make_pack(git_server, "o", "lost-library")
    broken = make_pack(git_server, "o", "broken", submodules={"lib": lost})
    git_server.set_rule("o/lost-library", MISSING)
    run = rig.install([node(pack), node(pack, name="pinned", ref=pack.commit), node(broken)])
    for name in ("pack", "pinned"):
        assert (rig.custom_nodes / name / "vendor" / "lib" / "answer.py").is_file()
    assert run.state("broken") == "installed submodule_missing"
    assert names_in(rig.custom_nodes) == ["broken", "pack", "pinned"]


def test_a_nested_pack_comes_after_its_parent(rig: Rig, git_server: GitServer) -> None:
    """Whatever the order in the list; without the parent it is skipped, without one in the list it has a reason."""
    parent, child, gone = (make_pack(git_server, "o", name) for name in ("parent", "child", "gone"))
    git_server.set_rule("o/parent", RepoRule(latency_seconds=0.2))
    git_server.set_rule("o/gone", MISSING)
    run = rig.install(
        [
            node(child, subfolder="parent/child"),
            node(parent),
            node(gone),
            node(child, name="orphan", subfolder="gone/child"),
            node(child, name="stray", subfolder="nobody/child"),
        ]
    )
    assert (run.state("parent"), run.state("child")) == ("installed", "installed")
    assert run.state("orphan") == "skipped parent_failed"
    assert run.state("stray") == "failed parent_missing"
    assert (rig.custom_nodes / "parent" / "child" / "__init__.py").is_file()


def test_a_link_in_a_parent_leads_nowhere_else(rig: Rig, git_server: GitServer) -> None:
    """A parent's repository may hold a link to anywhere; no pack is put through it."""
    outside = rig.home / "outside"
    outside.mkdir()
    parent = make_linked_pack(git_server, "o", "parent", {"way": str(outside)})
    child = make_pack(git_server, "o", "child")
    run = rig.install([node(parent), node(child, subfolder="parent/way/child")])
    assert run.state("child") == "failed outside_custom_nodes"
    assert names_in(outside) == []


def test_a_stalled_download_is_noticed_tried_again_and_told(rig: Rig, git_server: GitServer) -> None:
    """Silence ends a try; the last one says so, and nothing of the pack is left."""
    pack = make_pack(git_server, "o", "pack", payload_bytes=400_000)
    git_server.set_rule("o/pack", RepoRule(stall_after_bytes=50_000))
    run = rig.install([node(pack)], limits={**QUICK, "git_idle": 0.6})
    assert run.state("pack") == "failed stalled"
    assert names_in(rig.custom_nodes) == []


def test_a_trickle_is_a_stall_too(rig: Rig, git_server: GitServer) -> None:
    """git's own low-speed limit ends what is not silent but does not move either."""
    pack = make_pack(git_server, "o", "pack", payload_bytes=400_000)
    git_server.set_rule("o/pack", RepoRule(bytes_per_second=300))
    run = rig.install([node(pack)], limits={"retry_waits": [0], "low_speed": 2})
    assert run.state("pack") == "failed stalled"


def test_a_cut_download_is_tried_again(rig: Rig, git_server: GitServer) -> None:
    """Once cut it goes well at the second try; cut each time it fails with the reason."""
    once, always = (make_pack(git_server, "o", name, payload_bytes=400_000) for name in ("once", "always"))
    git_server.set_rule("o/once", RepoRule(cut_after_bytes=50_000, times=1))
    git_server.set_rule("o/always", RepoRule(cut_after_bytes=50_000))
    run = rig.install([node(once), node(always)])
    assert run.state("once") == "installed"
    assert run.state("always") == "failed transfer_cut"
    assert len([request for request in git_server.requests("o/always") if request.is_pack]) == 3
    assert names_in(rig.custom_nodes) == ["once"]


def test_comfyui_never_sees_half_a_pack(rig: Rig, git_server: GitServer) -> None:
    """While it is cloned there is only a folder that ComfyUI skips; then the whole pack, in one step."""
    pack = make_pack(git_server, "o", "pack", payload_bytes=600_000)
    git_server.set_rule("o/pack", RepoRule(bytes_per_second=400_000))
    run = rig.start([node(pack)])
    seen: set[str] = set()
    whole: list[bool] = []

    def look() -> bool:
        names = names_in(rig.custom_nodes)
        seen.update(names)
        if "pack" in names:
            whole.append((rig.custom_nodes / "pack" / "models" / "part002.bin").is_file())
        return run.is_over()

    wait_until(look, 20, "the end")
    assert seen - {"pack"}
    assert all(name.endswith((".disabled", ".probe")) for name in seen - {"pack"})
    assert whole
    assert all(whole)
    assert names_in(rig.custom_nodes) == ["pack"]


def test_sixteen_clones_at_once(rig: Rig, git_server: GitServer) -> None:
    """Many packs are sent at the same time, and never more than sixteen."""
    packs = [make_pack(git_server, "o", f"p{number}", payload_bytes=200_000) for number in range(20)]
    for pack in packs:
        git_server.set_rule(pack.repo, RepoRule(bytes_per_second=400_000))
    run = rig.install([node(pack) for pack in packs])
    assert len(run.told(NodeChanged, state="installed")) == 20
    assert 6 <= git_server.peak_packs <= min(16, 8 * (os.cpu_count() or 1))


def test_names_with_odd_characters_do_not_meet(rig: Rig, git_server: GitServer) -> None:
    """Spaces and what no file name may hold: each has its folder and its log."""
    pack = make_pack(git_server, "o", "pack")
    names = ["a pack (new)", "a pack [new]", "Ünï", "Önï", "it's", "50%", "x" * 190]
    run = rig.install([node(pack, name=name) for name in names])
    assert {run.state(name) for name in names} == {"installed"}
    assert names_in(rig.custom_nodes) == sorted(names)
    assert len(names_in(run.folder / "nodes")) == len(names)


def test_a_progress_event_comes_about_four_times_a_second(rig: Rig, git_server: GitServer) -> None:
    """A slow download does not flood the journal, and tells its bytes."""
    pack = make_pack(git_server, "o", "pack", payload_bytes=4_000_000)
    git_server.set_rule("o/pack", RepoRule(bytes_per_second=2_000_000))
    run = rig.install([node(pack)])
    told = [(event.mono, event.body) for event in run.events() if isinstance(event.body, NodeProgress)]
    monos = [mono for mono, progress in told if progress.percent < 100]
    assert len(told) >= 4
    assert all(later - earlier > 0.2 for earlier, later in itertools.pairwise(monos))
    assert any(progress.bytes_received for _, progress in told)


def test_one_large_file_is_seen_moving_by_its_bytes(rig: Rig, git_server: GitServer) -> None:
    """git's percentage counts files: it stands still as long as that one comes."""
    pack = make_pack(git_server, "o", "pack", files={"model.bin": payload("model", 6_000_000)})
    git_server.set_rule("o/pack", RepoRule(bytes_per_second=2_000_000))
    run = rig.install([node(pack)])
    told = [event.body for event in run.events() if isinstance(event.body, NodeProgress)]
    stands = [list(each) for _, each in itertools.groupby(told, key=lambda progress: progress.percent)]
    bytes_there = [[one.bytes_received for one in each if one.bytes_received] for each in stands]
    assert any(len(set(each)) > 1 and each == sorted(each) for each in bytes_there), told


def test_the_last_figure_before_a_standstill_is_told(rig: Rig, git_server: GitServer) -> None:
    """What came at once, faster than figures are told, is not "0 %" for as long as nothing more comes."""
    pack, released = make_pack(git_server, "o", "pack", payload_bytes=4_000_000), threading.Event()
    git_server.set_rule("o/pack", RepoRule(hold_after_bytes=3_000_000, released=released))
    run = rig.start([node(pack)])
    try:
        wait_until(lambda: any(each.percent > 60 for each in run.told(NodeProgress)), 20, "the figure")
    finally:
        released.set()
    run.wait()
    assert run.state("pack") == "installed"


@pytest.mark.parametrize("how", ["read-only", "a file"])
def test_a_folder_that_cannot_be_written_fails_the_run(rig: Rig, git_server: GitServer, how: str) -> None:
    """It is tried by writing, before anything is fetched."""
    rig.custom_nodes.rmdir()
    if how == "a file":
        rig.custom_nodes.touch()
    else:
        rig.custom_nodes.symlink_to("/proc/self")
    run = rig.install([node(make_pack(git_server, "o", "pack"))])
    error = run.snapshot().error
    assert error is not None
    assert error.code == "not_writable"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_new_files_get_the_owner_of_ui_home(rig: Rig, git_server: GitServer) -> None:
    """Images run ComfyUI as a user of its own, and their logins are root's."""
    os.chown(rig.ui_home, 12345, 23456)
    run = rig.install([node(make_pack(git_server, "o", "pack", files={"sub/file.txt": "x"}))])
    assert run.state("pack") == "installed"
    for path in ("pack", "pack/.git/HEAD", "pack/sub/file.txt"):
        owner = (rig.custom_nodes / path).stat()
        assert (owner.st_uid, owner.st_gid) == (12345, 23456)
