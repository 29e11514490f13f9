"""What a ref of the list means: the same in a clone, an update and a reinstall."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from test.runner.rig import Rig, Run, git, node

pytestmark = pytest.mark.slow


@pytest.fixture
def pack(git_server: GitServer) -> Pack:
    """Three commits; the branch `dev` is at the second, the tag `v1` at the first, `dual` is both: a branch at the
    third and a tag at the first. `annotated` is a tag with a message, refs/pull/7/head a pull request."""
    pack = make_pack(git_server, "o", "pack", history=3, tags={"v1": 0, "dual": 0})
    bare = bare_of(git_server)
    for name, number in (("heads/dev", 1), ("heads/dual", 2), ("heads/feature/x", 1), ("pull/7/head", 1)):
        git(bare, "update-ref", f"refs/{name}", pack.commits[number])
    git(bare, "tag", "-a", "-m", "words", "annotated", pack.commits[1])
    return pack


def bare_of(server: GitServer, name: str = "pack") -> Path:
    return server.path_of("o", name)


def codes(run: Run) -> list[str]:
    return [warning.code for warning in run.snapshot().warnings if warning.code != "listed_twice"]


def text(run: Run, code: str) -> str:
    return next(warning.message for warning in run.snapshot().warnings if warning.code == code)


def test_a_ref_means_the_same_in_clone_update_and_reinstall(rig: Rig, pack: Pack) -> None:
    """Branch, tag, annotated tag, both of one name, full names, a pull request, a few digits, upper case."""
    middle, newest = pack.commits[1], pack.commits[2]
    meant = {
        "dev": (middle, "dev"),
        "feature/x": (middle, "feature/x"),
        "v1": (pack.commits[0], ""),
        "annotated": (middle, ""),
        "dual": (newest, "dual"),
        "refs/tags/dual": (pack.commits[0], ""),
        "refs/heads/dual": (newest, "dual"),
        "origin/dev": (middle, "dev"),
        "pull/7": (middle, ""),
        "pull/7/head": (middle, ""),
        "refs/pull/7/head": (middle, ""),
        middle[:7]: (middle, ""),
        pack.commits[0][:12].upper(): (pack.commits[0], ""),
        middle.upper(): (middle, ""),
    }
    refs = {f"p{number}": ref for number, ref in enumerate(meant)}
    for existing in ("keep", "update", "reinstall"):
        if existing == "update":  # from elsewhere
            rig.install(
                [node(pack, name=name, ref=pack.commits[0]) for name in refs], options={"existing": "reinstall"}
            )
        run = rig.install(
            [node(pack, name=name, ref=ref) for name, ref in refs.items()], options={"existing": existing}
        )
        got = {ref: run.snapshot().nodes[name].commit for name, ref in refs.items()}
        assert got == {ref: commit for ref, (commit, _) in meant.items()}, existing
        for name, ref in refs.items():
            assert git(rig.custom_nodes / name, "branch", "--show-current") == meant[ref][1], (existing, ref)
        assert codes(run) == ["ref_ambiguous"], existing
        assert "p4: dual is a branch and a tag" in text(run, "ref_ambiguous")
    assert codes(rig.install([node(pack, name=name, ref=ref) for name, ref in refs.items()])) == []


def test_what_is_not_there_is_told_with_what_is_similar(rig: Rig, pack: Pack) -> None:
    run = rig.install(
        [node(pack, ref="V1"), node(pack, name="digits", ref="abcdef0"), node(pack, name="h", ref="a" * 40)]
    )
    assert [run.state(name) for name in ("pack", "digits", "h")] == ["failed bad_ref"] * 3
    error = run.snapshot().nodes["pack"].error
    assert error is not None
    assert "similar are: v1" in error.message


def test_a_commit_that_the_server_does_not_give_alone(rig: Rig, git_server: GitServer) -> None:
    """Old servers (git's protocol 0) give branches and tags only: the whole history has it."""
    pack = make_pack(git_server, "o", "pack", history=3)
    git(rig.home, "config", "--file", ".gitconfig", "protocol.version", "0")
    middle = pack.commits[1]
    run = rig.install([node(pack, ref=middle), node(pack, name="few", ref=middle[:8])])
    assert run.snapshot().nodes["pack"].commit == run.snapshot().nodes["few"].commit == middle
    rig.install([node(pack, name="later")])
    run = rig.install([node(pack, name="later", ref=middle)], options={"existing": "update"})
    assert run.snapshot().nodes["later"].commit == middle


def test_kept_at_another_ref_is_told(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """As for a commit; not where the checkout is at it, under whatever name."""
    names = ["at-branch", "at-tag", "at-commit", "other", "gone", "digits"]
    rig.install([node(pack, name=name, ref={"at-branch": "dev", "at-tag": "v1"}.get(name)) for name in names])
    refs = ["dev", "v1", "dual", "v1", "no-such", pack.commits[1][:9]]
    add_commit(git_server, pack, {"new.txt": "new"})
    run = rig.install([node(pack, name=name, ref=ref) for name, ref in zip(names, refs, strict=True)])
    told = [warning.message for warning in run.snapshot().warnings if warning.code == "kept_at_other_commit"]
    told.sort()
    assert [message.split(" ")[0] for message in told] == ["digits", "gone", "other"]
    assert f"commit {pack.commit} of the branch" in told[2]
    assert "asks for v1." in told[2]


def test_a_moved_tag_and_a_force_pushed_branch_are_followed(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """Also where somebody fetched in between, as ComfyUI-Manager does when it looks for updates, and pruned."""
    nodes = [node(pack, name="tag", ref="v1"), node(pack, name="shallow"), node(pack, name="dev", ref="dev")]
    rig.install(nodes)
    bare = bare_of(git_server)
    for name in ("dual", "feature/x"):
        git(bare, "update-ref", "-d", f"refs/heads/{name}")
    git(rig.custom_nodes, "clone", "-q", "--no-tags", pack.url, "fetched")
    git(rig.custom_nodes, "clone", "-q", "--no-tags", "-b", "dev", pack.url, "pruned")
    tree = git(bare, "rev-parse", f"{pack.commits[0]}^{{tree}}")
    forced = git(bare, "commit-tree", "-m", "another history", tree)
    git(bare, "update-ref", "refs/heads/main", forced)
    git(bare, "update-ref", "refs/heads/dev", forced)
    git(bare, "tag", "-f", "v1", pack.commits[1])
    for name in ("fetched", "pruned"):
        git(rig.custom_nodes / name, "fetch", "-q", "--no-tags", "--prune")
    nodes += [node(pack, name="fetched"), node(pack, name="pruned")]
    run = rig.install(nodes, options={"existing": "update"})
    commits = {name: run.snapshot().nodes[name].commit for name in ("tag", "shallow", "dev", "fetched", "pruned")}
    assert commits == {**dict.fromkeys(commits, forced), "tag": pack.commits[1]}, [run.state(name) for name in commits]


def test_a_renamed_default_branch_is_followed_and_told(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """Gone, or still there as what it was; a branch that somebody chose is kept, one that is gone is left; a detached
    checkout comes to the default branch. `git pull` then works there."""
    names = ["shallow", "detached", "chosen", "left"]
    for name in names:
        more = ("-b", "dev") if name in {"chosen", "left"} else ()
        git(rig.custom_nodes, "clone", "-q", "--depth", "1", *more, pack.url, name)
    git(rig.custom_nodes / "detached", "checkout", "-q", "--detach")
    make = make_pack(git_server, "o", "still")
    git(rig.custom_nodes, "clone", "-q", make.url, "still")
    bare, other = bare_of(git_server), bare_of(git_server, "still")
    git(bare, "branch", "-m", "main", "trunk")
    git(bare, "symbolic-ref", "HEAD", "refs/heads/trunk")
    newer = git(
        bare, "commit-tree", "-m", "newer", "-p", pack.commit, git(bare, "rev-parse", f"{pack.commit}^{{tree}}")
    )
    git(bare, "update-ref", "refs/heads/trunk", newer)
    git(other, "branch", "next", "main")
    git(other, "symbolic-ref", "HEAD", "refs/heads/next")
    nodes = [node(pack, name=name) for name in names[:3]] + [node(make)]
    run = rig.install(nodes, options={"existing": "update"})
    commits = {name: run.snapshot().nodes[name].commit for name in names[:3]}
    assert commits == {"shallow": newer, "detached": newer, "chosen": pack.commits[1]}, codes(run)
    git(bare, "update-ref", "-d", "refs/heads/dev")
    again = rig.install([node(pack, name="left")], options={"existing": "update"})
    assert again.snapshot().nodes["left"].commit == newer
    told = [w.message for made in (run, again) for w in made.snapshot().warnings if w.code == "branch_followed"]
    told = sorted(told)
    assert len(told) == 4, told
    assert told[0].startswith("detached: it was on no branch (detached HEAD at ")
    assert told[1].startswith("left: the repository has no branch dev any more")
    assert told[2] == (
        "shallow: the repository has no branch main any more, so it was brought to the default branch trunk."
    )
    assert told[3].startswith("still: the repository's default branch is no longer main")
    for name in ("shallow", "detached", "left"):
        assert git(rig.custom_nodes / name, "branch", "--show-current") == "trunk"
        git(rig.custom_nodes / name, "pull", "-q")
