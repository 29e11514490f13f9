"""Packs whose folder is there already: kept, updated or installed anew, and nothing of the user's is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.protocol.events import NodeChanged
from app.standin.git_rules import MISSING, RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from test.runner.rig import Rig, Run, git, names_in, node
from test.support.waiting import wait_until

pytestmark = pytest.mark.slow

ODD_NAMES = ["notes and 'quotes'.txt", "ünï $(touch x)\n.txt", "sub folder/deep/model.bin"]


@pytest.fixture
def pack(git_server: GitServer) -> Pack:
    """A pack that says which of its files are ignored."""
    return make_pack(git_server, "o", "pack", files={".gitignore": "*.bin\n", "config.json": "{}\n"})


def install(rig: Rig, pack: Pack, existing: str, **fields: object) -> Run:
    return rig.install([node(pack, **fields)], options={"existing": existing})


def write_own_files(folder: Path) -> None:
    for name in ODD_NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")


def test_keep_fetches_nothing(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """The pack (which an empty folder did not keep out) stays at its commit, also with local changes, and is told as
    kept."""
    (rig.custom_nodes / "pack").mkdir()
    install(rig, pack, "keep")
    add_commit(git_server, pack, {"new.txt": "new"})
    (rig.custom_nodes / "pack" / "__init__.py").write_text("# mine\n")
    run = rig.install([{"name": "pack", "repo_url": pack.url.replace("/o/", "/O/") + ".git"}])
    shown = run.snapshot().nodes["pack"]
    assert (shown.state, shown.kept, shown.commit) == ("installed", True, pack.commit)
    assert (rig.custom_nodes / "pack" / "__init__.py").read_text() == "# mine\n"


def test_keep_says_when_it_is_not_the_commit_asked_for(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """A warning, since nothing was asked to change."""
    install(rig, pack, "keep")
    newer = add_commit(git_server, pack, {"new.txt": "new"})
    run = install(rig, pack, "keep", ref=newer.commit)
    assert [warning.code for warning in run.snapshot().warnings] == ["kept_at_other_commit"]


@pytest.mark.parametrize("existing", ["update", "reinstall"])
def test_a_newer_commit_comes_and_untracked_files_stay(
    rig: Rig, git_server: GitServer, pack: Pack, existing: str
) -> None:
    """Whatever their names, ignored or not."""
    install(rig, pack, "keep")
    write_own_files(rig.custom_nodes / "pack")
    newer = add_commit(git_server, pack, {"new.txt": "new"})
    run = install(rig, pack, existing)
    assert run.snapshot().nodes["pack"].commit == newer.commit
    assert (rig.custom_nodes / "pack" / "new.txt").read_text() == "new"
    assert [(rig.custom_nodes / "pack" / name).read_text() for name in ODD_NAMES] == ["mine"] * 3
    assert names_in(rig.custom_nodes) == ["pack"]


def test_local_changes_are_never_lost(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """Edited, deleted, committed on a branch or detached: the pack is failed with a hint, its folder is as it was."""
    names = ["edited", "deleted", "committed", "detached"]
    nodes = [node(pack, name=name) for name in names]
    rig.install(nodes)
    for name in names:
        folder = rig.custom_nodes / name
        (folder / "config.json").write_text("mine")
        if name == "deleted":
            (folder / "config.json").unlink()
        if name == "detached":
            git(folder, "checkout", "-q", "--detach")
        if name in {"committed", "detached"}:
            git(folder, "commit", "-qam", "mine")
    heads = [git(rig.custom_nodes / name, "rev-parse", "HEAD") for name in names]
    add_commit(git_server, pack, {"new.txt": "new"})
    for existing in ("update", "reinstall"):
        run = rig.install(nodes, options={"existing": existing})
        assert {run.state(name) for name in names} == {"failed local_changes"}
        assert [git(rig.custom_nodes / name, "rev-parse", "HEAD") for name in names] == heads
        assert not list(rig.custom_nodes.rglob("new.txt"))


def test_update_follows_a_pin_there_and_back(rig: Rig, git_server: GitServer) -> None:
    """A commit, a tag, and the branch's newest; a pinned checkout does not count as local work."""
    pack = make_pack(git_server, "o", "pack", history=3, tags={"v1": 0})
    for ref, number in ((pack.commits[1], 1), ("v1", 0), (None, 2), (pack.commits[0], 0)):
        run = install(rig, pack, "update", ref=ref)
        assert run.snapshot().nodes["pack"].commit == pack.commits[number], (ref, run.state("pack"))


def test_update_of_a_whole_clone_keeps_its_history(rig: Rig, git_server: GitServer) -> None:
    """Only what is shallow is updated shallow."""
    pack = make_pack(git_server, "o", "pack", history=3)
    git(rig.custom_nodes, "clone", "-q", pack.url, "pack")
    newer = add_commit(git_server, pack, {"new.txt": "new"})
    run = install(rig, pack, "update")
    assert run.snapshot().nodes["pack"].commit == newer.commit
    assert git(rig.custom_nodes / "pack", "rev-list", "--count", "HEAD") == "4"


def test_an_update_that_would_write_over_an_untracked_file_is_refused(
    rig: Rig, git_server: GitServer, pack: Pack
) -> None:
    """The file stays; reinstalling keeps it beside the new one."""
    install(rig, pack, "keep")
    mine = rig.custom_nodes / "pack" / "new.txt"
    mine.write_text("mine")
    add_commit(git_server, pack, {"new.txt": "new"})
    assert install(rig, pack, "update").state("pack") == "failed local_changes"
    assert mine.read_text() == "mine"
    assert install(rig, pack, "reinstall").state("pack") == "installed"
    assert mine.read_text() == "new"
    assert mine.with_name("new.txt.before-reinstall").read_text() == "mine"


def test_a_nested_pack_survives_its_parents_reinstall(rig: Rig, git_server: GitServer) -> None:
    """It is carried over with its repository."""
    parent, child = make_pack(git_server, "o", "parent"), make_pack(git_server, "o", "child")
    rig.install([node(parent), node(child, subfolder="parent/child")])
    (rig.custom_nodes / "parent" / "child" / "mine.txt").write_text("mine")
    run = rig.install([node(parent)], options={"existing": "reinstall"})
    assert run.state("parent") == "installed"
    assert (rig.custom_nodes / "parent" / "child" / "mine.txt").read_text() == "mine"
    assert (rig.custom_nodes / "parent" / "child" / ".git").exists()


def test_untracked_files_in_submodules_survive_a_reinstall(rig: Rig, git_server: GitServer) -> None:
    """Models that somebody put there are not fetched again by anybody."""
    library = make_pack(git_server, "o", "library", files={".gitignore": "*.bin\n"})
    pack = make_pack(git_server, "o", "pack", submodules={"lib": library})
    install(rig, pack, "keep")
    model = rig.custom_nodes / "pack" / "lib" / "model.bin"
    model.write_text("mine")
    assert install(rig, pack, "reinstall").state("pack") == "installed"
    assert model.read_text() == "mine"


@pytest.mark.parametrize("existing", ["keep", "update", "reinstall"])
def test_what_is_not_the_packs_repository_is_left_alone(
    rig: Rig, git_server: GitServer, pack: Pack, existing: str
) -> None:
    """Another repository, a plain folder, a file, a broken .git: name_taken, and all as before;
    ComfyUI's own repository around it is not taken for the pack's."""
    git(rig.ui_home, "init", "-q")
    git(rig.ui_home, "remote", "add", "origin", pack.url)
    git(rig.custom_nodes, "clone", "-q", make_pack(git_server, "o", "other").url, "another")
    (rig.custom_nodes / "file").write_text("mine")
    for path in ("plain/mine.txt", "broken/.git"):
        (rig.custom_nodes / path).mkdir(parents=True)
    names = names_in(rig.custom_nodes)
    before = sorted(rig.custom_nodes.rglob("*"))
    run = rig.install([node(pack, name=name) for name in names], options={"existing": existing})
    assert {run.state(name) for name in names} == {"failed name_taken"}
    assert sorted(rig.custom_nodes.rglob("*")) == before


def test_an_update_that_cannot_be_fetched_leaves_the_pack_as_it_was(
    rig: Rig, git_server: GitServer, pack: Pack
) -> None:
    """It is failed with git's reason, its files are there."""
    install(rig, pack, "keep")
    git_server.set_rule("o/pack", MISSING)
    for existing in ("update", "reinstall"):
        assert install(rig, pack, existing).state("pack") == "failed repository_not_found"
        assert git(rig.custom_nodes / "pack", "rev-parse", "HEAD") == pack.commit
    assert names_in(rig.custom_nodes) == ["pack"]


def test_a_reinstall_that_was_killed_halfway_is_put_right(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """The old folder stands beside under a name that ComfyUI skips; the next run goes on from there."""
    install(rig, pack, "keep")
    folder = rig.custom_nodes / "pack"
    old = rig.custom_nodes / "pack.nodeferry-old.disabled"
    (folder / "mine.txt").write_text("mine")
    folder.rename(old)
    assert install(rig, pack, "keep").state("pack") == "installed"
    assert (folder / "mine.txt").read_text() == "mine"
    shutil.copytree(folder, old)
    (folder / "mine.txt").unlink()
    assert install(rig, pack, "keep").state("pack") == "installed"
    assert (folder / "mine.txt").read_text() == "mine"
    assert names_in(rig.custom_nodes) == ["pack"]


def test_warnings_of_git_are_not_taken_for_answers(rig: Rig, pack: Pack) -> None:
    """A git that has something to say on stderr each time still names commits."""
    install(rig, pack, "keep")
    real = shutil.which("git")
    program = rig.home / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "warning: something or other" >&2\nexec {real} "$@"\n')
    program.chmod(0o755)
    rig.environ["PATH"] = f"{program.parent}:{rig.environ['PATH']}"
    for existing in ("keep", "update", "reinstall"):
        assert install(rig, pack, existing).state("pack") == "installed"


def test_update_shows_its_progress(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """As a clone does."""
    install(rig, pack, "keep")
    add_commit(git_server, pack, {f"big{number}.dat": "x" * 1000 + str(number) * 50_000 for number in range(8)})
    git_server.set_rule("o/pack", RepoRule(bytes_per_second=2_000))
    run = rig.start([node(pack)], options={"existing": "update"})
    wait_until(lambda: run.told(NodeChanged, name="pack", state="cloning"), 30, "the update's start")
    assert run.cancel() == "ended"
    assert git(rig.custom_nodes / "pack", "rev-parse", "HEAD") == pack.commit
