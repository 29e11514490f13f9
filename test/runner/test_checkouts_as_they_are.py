"""Checkouts as ComfyUI-Manager, volumes, Windows and killed programs leave them: what is nobody's work is in nobody's
way, what is somebody's is kept and named."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from test.runner.rig import Rig, Run, git, names_in, node

pytestmark = pytest.mark.slow

NOTES = "one\ntwo\nthree\n"
NAMES = ["modes", "crlf", "touched", "attributes", "compiled", "stash", "submodule", "untracked"]


def message(run: Run, name: str = "pack") -> str:
    error = run.snapshot().nodes[name].error
    return error.message if error else ""


@pytest.fixture
def pack(git_server: GitServer) -> Pack:
    """It has a submodule, compiled files that somebody committed, and text that `.gitattributes` normalizes, though
    it is in the repository as it is on Windows."""
    library = make_pack(git_server, "o", "library", files={"data.txt": "x\n"})
    files = {
        "notes.txt": NOTES,
        ".gitattributes": "windows.txt text\n",
        "windows.txt": "a\r\nb\r\n",
        "__pycache__/nodes.cpython-312.pyc": b"\x00old",
        ".gitignore": "config.json\n",
        "run.sh": "#!/bin/sh\n",
    }
    return make_pack(git_server, "o", "pack", files=files, submodules={"lib": library})


def disturb(folder: Path, name: str) -> None:
    """What is not anybody's work."""
    if name == "modes":
        subprocess.run(["chmod", "-R", "777", str(folder)], check=True)
    if name == "crlf":
        (folder / "notes.txt").write_bytes(NOTES.replace("\n", "\r\n").encode())
        git(folder, "config", "core.autocrlf", "false")
    if name == "touched":
        for path in folder.rglob("*.*"):
            os.utime(path)
    if name in {"compiled", "submodule"}:
        (folder / "__pycache__" / "nodes.cpython-312.pyc").write_bytes(b"\x00newer")
    disturb_more(folder, name)


def disturb_more(folder: Path, name: str) -> None:
    if name == "stash":
        (folder / "notes.txt").write_text("mine\n")
        git(folder, "stash")
        (folder / "notes.txt").write_text("mine too\n")
        git(folder, "stash", "push", "-m", "by hand")
    if name == "submodule":
        (folder / "lib" / "__pycache__").mkdir()
        (folder / "lib" / "__pycache__" / "x.pyc").write_bytes(b"\x00")
        (folder / "lib" / "data.txt").chmod(0o777)
    if name == "untracked":
        (folder / "config.json").write_text("{}")
        (folder / "cache.db").write_text("mine")


@pytest.mark.parametrize("existing", ["update", "reinstall"])
def test_what_is_nobodys_work_is_in_nobodys_way(rig: Rig, git_server: GitServer, pack: Pack, existing: str) -> None:
    """Modes, line ends, times, compiled files, stashes (which stay), a submodule's own files, files that the pack
    wrote."""
    nodes = [node(pack, name=name) for name in NAMES]
    rig.install(nodes)
    for name in NAMES:
        disturb(rig.custom_nodes / name, name)
    newer = {name: f"{text}more\n" for name, text in (("notes.txt", NOTES), ("windows.txt", "a\r\nb\r\n"))}
    changed: dict[str, str | bytes] = {
        **newer,
        "__pycache__/nodes.cpython-312.pyc": b"\x00new",
        "run.sh": "#!/bin/bash\n",
        "added.txt": "new",
    }
    commit = add_commit(git_server, pack, changed).commit
    run = rig.install(nodes, options={"existing": existing})
    states = {name: run.state(name) for name in NAMES}
    assert states == dict.fromkeys(NAMES, "installed"), [message(run, name) for name in NAMES]
    for name in NAMES:
        folder = rig.custom_nodes / name
        assert git(folder, "rev-parse", "HEAD") == commit
        assert (folder / "notes.txt").read_bytes() == f"{NOTES}more\n".encode(), name
    stashes = git(rig.custom_nodes / "stash", "stash", "list").splitlines()
    assert stashes[0] == "stash@{0}: On main: by hand"
    assert len(stashes) == 2
    git(rig.custom_nodes / "stash", "checkout", "-q", "stash@{1}", "--", "notes.txt")
    assert (rig.custom_nodes / "stash" / "notes.txt").read_text() == "mine\n"
    assert (rig.custom_nodes / "untracked" / "config.json").read_text() == "{}"
    assert (rig.custom_nodes / "untracked" / "cache.db").read_text() == "mine"


def test_somebodys_work_is_named(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """Files, also those in a submodule; commits; stashes in a submodule; a merge that was not finished."""
    names = ["edited", "inner", "committed", "ended", "merging", "substash"]
    nodes = [node(pack, name=name) for name in names]
    rig.install(nodes)
    for name in names:
        folder = rig.custom_nodes / name
        (folder / "notes.txt").write_text(f"{NOTES}mine\n")
        if name in {"inner", "substash"}:
            git(folder, "checkout", "-q", "notes.txt")
            (folder / "lib" / "data.txt").write_text("mine\n")
        if name == "ended":
            (folder / "notes.txt").write_bytes(f"{NOTES}mine\n".replace("\n", "\r\n").encode())
        if name in {"committed", "merging"}:
            git(folder, "commit", "-qam", "My own change")
        if name == "substash":
            git(folder / "lib", "stash")
    add_commit(git_server, pack, {"notes.txt": "other\n"})
    merging = rig.custom_nodes / "merging"
    git(merging, "fetch", "-q", "--unshallow")
    assert subprocess.run(["git", "-C", str(merging), *WHO, "merge", "-q", "origin/main"], check=False).returncode
    for existing in ("update", "reinstall"):
        run = rig.install(nodes[:-1], options={"existing": existing})
        assert {run.state(name) for name in names[:-1]} == {"failed local_changes"}, existing
        assert "changed on the instance: notes.txt. They" in message(run, "edited")
        assert "changed on the instance: notes.txt. They" in message(run, "ended")
        assert "changed on the instance: lib/data.txt. They" in message(run, "inner")
        assert "My own change" in message(run, "committed")
        assert "A git merge was begun" in message(run, "merging")
    run = rig.install(nodes[-1:], options={"existing": "reinstall"})
    assert run.state("substash") == "failed local_changes"
    assert "submodule lib has stashes" in message(run, "substash")
    assert git(rig.custom_nodes / "substash" / "lib", "stash", "list")


WHO = ("-c", "user.name=S", "-c", "user.email=s@example.invalid")


def test_a_submodule_that_is_behind_is_no_change(rig: Rig, git_server: GitServer) -> None:
    """`git pull` alone, as ComfyUI-Manager does it, leaves the submodules at their old commits."""
    library = make_pack(git_server, "o", "library")
    pack = make_pack(git_server, "o", "pack", submodules={"lib": library})
    git(rig.custom_nodes, "clone", "-q", "--recurse-submodules", pack.url, "pack")
    newest = add_commit(git_server, library, {"new.txt": "new"}).commit
    bare = git_server.path_of("o", "pack")
    env = {**os.environ, "GIT_INDEX_FILE": str(rig.home / "index")}
    for args in (["read-tree", "main"], ["update-index", "--cacheinfo", f"160000,{newest},lib"]):
        subprocess.run(["git", *args], cwd=bare, env=env, check=True)
    tree = subprocess.run(["git", "write-tree"], cwd=bare, env=env, check=True, capture_output=True, text=True).stdout
    git(bare, "update-ref", "refs/heads/main", git(bare, "commit-tree", "-m", "n", "-p", "main", tree.strip()))
    git(rig.custom_nodes / "pack", "pull", "-q")
    assert "lib" in git(rig.custom_nodes / "pack", "status", "--short")
    assert rig.install([node(pack)], options={"existing": "update"}).state("pack") == "installed"
    assert (rig.custom_nodes / "pack" / "lib" / "new.txt").exists()


def test_a_submodule_whose_commit_is_gone_is_no_change(rig: Rig, git_server: GitServer) -> None:
    """Real: comfy_mtb's frame_interpolation. It was cloned, and nothing of it could be checked out."""
    library = make_pack(git_server, "o", "library")
    pack = make_pack(git_server, "o", "pack", submodules={"lib": library})
    bare = git_server.path_of("o", "library")
    git(bare, "update-ref", "refs/heads/main", git(bare, "commit-tree", "-m", "other", "main^{tree}").strip())
    git(bare, "gc", "-q", "--prune=now")
    run = rig.install([node(pack)])
    assert "lib" in str(run.snapshot().nodes["pack"].error)
    newest = add_commit(git_server, pack, {"new.txt": "new"}).commit
    for existing in ("update", "reinstall"):
        again = rig.install([node(pack)], options={"existing": existing})
        assert again.snapshot().nodes["pack"].commit == newest
        assert again.snapshot().nodes["pack"].error == run.snapshot().nodes["pack"].error


def test_locks_of_a_killed_git_are_removed_and_told(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """Old ones that no git holds; a new one is left, and what to do is said."""
    rig.install([node(pack), node(pack, name="new")])
    own = rig.custom_nodes / "pack" / ".git"
    locks = [own / "index.lock", own / "shallow.lock", own / "modules" / "lib" / "index.lock"]
    for lock in locks:
        lock.touch()
        os.utime(lock, (1, 1))
    (rig.custom_nodes / "new" / ".git" / "index.lock").touch()
    add_commit(git_server, pack, {"new.txt": "new"})
    run = rig.install([node(pack), node(pack, name="new")], options={"existing": "update"})
    assert run.state("pack") == "installed"
    told = [warning for warning in run.snapshot().warnings if warning.code != "listed_twice"]
    assert [warning.code for warning in told] == ["stale_lock_removed"]
    assert "index.lock" in told[0].message
    assert run.state("new") == "failed git_locked"
    assert (rig.custom_nodes / "new" / ".git" / "index.lock").exists()


@pytest.mark.parametrize("damage", ["HEAD", "index", "objects"])
def test_a_damaged_repository_is_told_and_replaced_whole(rig: Rig, pack: Pack, damage: str) -> None:
    """A volume that was full, a copy that broke off. What is the user's cannot be told, so all of it is kept."""
    rig.install([node(pack)])
    folder = rig.custom_nodes / "pack"
    (folder / "mine.txt").write_text("mine")
    path = folder / ".git" / damage
    if damage == "objects":
        shutil.rmtree(path)
        path.mkdir()
    else:
        path.write_bytes(b"")
    run = rig.install([node(pack)], options={"existing": "update"})
    assert run.state("pack") == "failed broken_checkout", message(run)
    assert "damaged" in message(run)
    run = rig.install([node(pack)], options={"existing": "reinstall"})
    assert run.state("pack") == "installed", message(run)
    assert [warning.code for warning in run.snapshot().warnings] == ["kept_aside"]
    assert not (folder / "mine.txt").exists()
    assert (rig.custom_nodes / ".disabled" / "pack@damaged" / "mine.txt").read_text() == "mine"
    assert names_in(rig.custom_nodes) == [".disabled", "pack"]
