"""Packs that came with a container's image: their folders cannot be renamed, and are replaced all the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from test.runner.image import of_the_image, refused_renames
from test.runner.rig import Rig, Run, git, names_in, node
from test.runner.test_manager_copies import registry_copy
from test.support.pack_tree import tree_of
from test.support.wrapped_runner import killed_runner

pytestmark = pytest.mark.slow

Image = Callable[[Rig], AbstractContextManager[None]]


@pytest.fixture
def pack(git_server: GitServer) -> Pack:
    return make_pack(git_server, "Owner", "ComfyUI-Pack", files={".gitignore": "*.bin\n", "nodes/a.py": "A = 1\n"})


def install(rig: Rig, pack: Pack, existing: str = "keep") -> Run:
    return rig.install([node(pack)], options={"existing": existing})


def write_own_files(folder: Path) -> None:
    """A model, a link, a program, and a file that is hard to read."""
    (folder / "models").mkdir()
    (folder / "models" / "own.bin").write_text("mine")
    (folder / "models" / "latest.bin").symlink_to("own.bin")
    (folder / "tool.bin").write_text("#!/bin/sh\n")
    (folder / "tool.bin").chmod(0o750)
    os.utime(folder / "tool.bin", (1_600_000_000, 1_600_000_000))


def own_files_are_there(folder: Path) -> None:
    assert (folder / "models" / "own.bin").read_text() == "mine"
    assert os.readlink(folder / "models" / "latest.bin") == "own.bin"
    found = (folder / "tool.bin").stat()
    assert (found.st_mode & 0o777, found.st_mtime) == (0o750, 1_600_000_000)


@pytest.mark.parametrize("image", [of_the_image, refused_renames])
def test_a_pack_of_the_image_is_reinstalled(rig: Rig, git_server: GitServer, pack: Pack, image: Image) -> None:
    """The newer commit, and the user's own files."""
    install(rig, pack)
    folder = rig.custom_nodes / pack.name
    write_own_files(folder)
    newer = add_commit(git_server, pack, {"new.txt": "new"})
    with image(rig):
        run = install(rig, pack, "reinstall")
        assert run.state(pack.name) == "installed", run.said()
        assert git(folder, "rev-parse", "HEAD") == newer.commit
        own_files_are_there(folder)
        assert names_in(rig.custom_nodes) == [pack.name]


@pytest.mark.parametrize("name", ["ComfyUI-Pack", "comfyui-pack"])
def test_a_registry_copy_of_the_image_is_replaced_and_rolled_back(rig: Rig, pack: Pack, name: str) -> None:
    """Aside whole, with the user's files in its successor; and back again, also from an image that was made of that."""
    registry_copy(rig.custom_nodes / name, pack)
    write_own_files(rig.custom_nodes / name / "models")
    with of_the_image(rig):
        run = install(rig, pack, "reinstall")
        assert run.state(pack.name) == "installed", run.said()
        own_files_are_there(rig.custom_nodes / pack.name / "models")
        aside = rig.custom_nodes / ".disabled" / f"{name}@replaced"
        assert (aside / "only_there.py").exists()
        assert names_in(rig.custom_nodes) == [".disabled", pack.name]
        with of_the_image(rig):
            restored = rig.install([], rollback_of=run.task_id)
            assert restored.state(pack.name) == "skipped rolled_back", restored.said()
            own_files_are_there(rig.custom_nodes / name / "models")
            assert (rig.custom_nodes / name / "only_there.py").exists()
            assert not (rig.custom_nodes / name / ".git").exists()
            assert names_in(rig.custom_nodes) == [".disabled", name]
            assert names_in(rig.custom_nodes / ".disabled") == []


def test_a_new_pack_goes_again_from_an_image_that_was_made_of_it(rig: Rig, pack: Pack) -> None:
    """Its folder cannot be put out of the way by a rename either."""
    run = install(rig, pack)
    with of_the_image(rig):
        restored = rig.install([], rollback_of=run.task_id)
        assert restored.state(pack.name) == "skipped rolled_back", restored.said()
        assert names_in(rig.custom_nodes) == []


MOMENTS = {
    "the old version is being copied": ("open", "LICENSE.nodeferry-part", 1),
    "the copy is whole": ("os.rename", ".disabled|", 1),
    "the old version is about to be removed": ("os.remove", "custom_nodes/ComfyUI-Pack/__init__.py", 1),
    "half of the old version is removed": ("os.rmdir", "custom_nodes/ComfyUI-Pack/", 2),
    "the old version is away": ("os.rename", ".disabled/ComfyUI-Pack|", 1),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", ["clone", "registry copy"])
def test_a_run_that_is_killed_while_it_moves_is_settled(rig: Rig, pack: Pack, kind: str, moment: str) -> None:
    """By its sweep: the pack is there once, whole, with the user's files. The next run goes on as if nothing was."""
    folder = rig.custom_nodes / pack.name
    install(rig, pack) if kind == "clone" else registry_copy(folder, pack)
    (folder / "nodes").mkdir(exist_ok=True)
    (folder / "LICENSE").write_text("mine")
    write_own_files(folder / "nodes")
    before = tree_of(folder)
    with of_the_image(rig):
        run = killed_at(rig, pack, *MOMENTS[moment])
        run.sweep()
        assert names_in(rig.custom_nodes) in ([pack.name], [".disabled", pack.name])
        assert tree_of(folder) == before
        again = install(rig, pack, "reinstall")
        assert again.state(pack.name) == "installed", again.said()
        own_files_are_there(folder / "nodes")
        assert names_in(rig.custom_nodes) == ([pack.name] if kind == "clone" else [".disabled", pack.name])


def killed_at(rig: Rig, pack: Pack, event: str, word: str, number: int) -> Run:
    """A reinstall whose runner is killed there."""
    pyz = rig.pyz
    rig.pyz = killed_runner(pyz, rig.home, event=event, word=word, number=number)
    run = rig.start([node(pack)], options={"existing": "reinstall"})
    run.wait()
    rig.pyz = pyz
    assert run.status() == "died", run.said()
    return run
