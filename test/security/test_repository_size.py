"""Repositories that are small to fetch and fill the disk: ended at a limit, with a reason, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack, payload
from test.runner.conftest import old_python, rig, rig_factory
from test.runner.rig import QUICK, Rig, Run, git, node

__all__ = ["old_python", "rig", "rig_factory"]
pytestmark = pytest.mark.slow
_MB = 1024 * 1024
_LIMITS = {**QUICK, "repository_bytes": 10 * _MB, "repository_files": 3000}
needs_root = pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root can mount")


def message(run: Run, name: str) -> str:
    error = run.snapshot().nodes[name].error
    return f"{error.message} {error.hint}" if error else ""


def many_folders(server: GitServer, pack: Pack, depth: int) -> Pack:
    """A commit with 10 ^ depth empty files, in a handful of objects: a tree has the same tree ten times."""
    bare = server.path_of(pack.owner, pack.name)

    def written(*args: str, text: str) -> str:
        done = subprocess.run(["git", *args], cwd=bare, input=text.encode(), capture_output=True, check=True)
        return done.stdout.decode().strip()

    kind, mode, made = "blob", "100644", written("hash-object", "-w", "--stdin", text="")
    for _ in range(depth):
        made = written("mktree", text="".join(f"{mode} {kind} {made}\tf{number}\n" for number in range(10)))
        kind, mode = "tree", "040000"
    commit = git(bare, "commit-tree", "-m", "bomb", "-p", "main", made)
    git(bare, "update-ref", "refs/heads/main", commit)
    return Pack(pack.owner, pack.name, pack.url, (*pack.commits, commit))


def much(server: GitServer, name: str) -> Pack:
    """Fifty megabytes of one word, which are a few kilobytes to fetch. Zeros would take no room at all."""
    pack = make_pack(server, "o", name, files={f"{number}.txt": b"words \n" * (_MB // 7) for number in range(50)})
    git(server.path_of("o", name), "-c", "pack.compression=9", "repack", "-qadF")
    return pack


def test_a_repository_that_unpacks_without_end_is_ended(rig: Rig, git_server: GitServer) -> None:
    """Ten million files in nine objects, and 50 MB in a few kilobytes; by a branch and by a commit. A pack beside them
    comes."""
    packs = {name: many_folders(git_server, make_pack(git_server, "o", name), 7) for name in ("bomb", "at-commit")}
    nodes = [node(packs["bomb"]), node(packs["at-commit"], ref=packs["at-commit"].commit)]
    nodes += [node(much(git_server, "words")), node(make_pack(git_server, "o", "good"))]
    run = rig.install(nodes, limits=_LIMITS)
    for name, words in (("bomb", "too many files"), ("at-commit", "too many files"), ("words", "too large")):
        assert run.state(name) == "failed repository_too_large", message(run, name)
        assert words in message(run, name)
        assert not (rig.custom_nodes / name).exists()
    assert "10 MB are allowed" in message(run, "words"), message(run, "words")
    assert "NODEFERRY_MAX_REPOSITORY_BYTES" in message(run, "words")
    assert run.state("good") == "installed"
    assert not run.staging.exists()


def test_what_is_too_much_for_an_update_leaves_the_folder_as_it_was(rig: Rig, git_server: GitServer) -> None:
    """Nothing of the new commit is written. What its user has in the folder is not counted."""
    pack = make_pack(git_server, "o", "pack")
    assert rig.install([node(pack)]).state("pack") == "installed"
    models = rig.custom_nodes / "pack" / "models"
    models.mkdir()
    (models / "mine.safetensors").write_bytes(b"m" * 20 * _MB)
    fine = add_commit(git_server, pack, {"a.txt": "a"})
    assert rig.install([node(pack)], options={"existing": "update"}, limits=_LIMITS).state("pack") == "installed"
    many_folders(git_server, pack, 6)
    run = rig.install([node(pack)], options={"existing": "update"}, limits=_LIMITS)
    assert run.state("pack") == "failed repository_too_large", message(run, "pack")
    assert git(rig.custom_nodes / "pack", "rev-parse", "HEAD") == fine.commit
    assert not git(rig.custom_nodes / "pack", "status", "--porcelain", "--untracked-files=no")


def test_a_submodule_counts_with_its_pack(rig: Rig, git_server: GitServer) -> None:
    """The pack is not there without it: its author can hide anything there."""
    inner = much(git_server, "inner")
    modules = f'[submodule "lib"]\n\tpath = lib\n\turl = {inner.url}\n'
    outer = make_pack(git_server, "o", "outer", submodules={"lib": inner}, files={".gitmodules": modules})
    run = rig.install([node(outer)], limits=_LIMITS)
    assert run.state("outer") == "failed repository_too_large", message(run, "outer")
    assert not (rig.custom_nodes / "outer").exists()


@contextmanager
def filled_disk(folder: Path, size: int, free: int) -> Iterator[None]:
    """A disk of this size, with so much room."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        with (folder / "models.bin").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size - free)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@needs_root
def test_a_download_ends_before_the_disk_is_full(rig: Rig, git_server: GitServer) -> None:
    """ComfyUI may be writing to it. Told are the disk's room and what to do; what came is gone again."""
    large = make_pack(git_server, "o", "large", files={f"{n}.bin": payload(str(n), 10 * _MB) for n in range(8)})
    git_server.set_rule("o/large", RepoRule(bytes_per_second=30 * _MB))
    small = make_pack(git_server, "o", "small")
    with filled_disk(rig.custom_nodes, 300 * _MB, 81 * _MB):
        run = rig.install([node(large), node(small)], limits=QUICK)
        assert run.state("large") == "failed no_room_for_repository", message(run, "large")
        assert "are free" in message(run, "large")
        assert run.state("small") == "installed", message(run, "small")
        assert {path.name for path in rig.custom_nodes.iterdir()} - {"__pycache__"} == {"models.bin", "small"}
        rig.end()
