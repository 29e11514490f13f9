"""Packs that came with a container's image: their folders cannot be renamed, and are replaced all the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from test.runner.image import locked, mounted, of_the_image, refused_renames
from test.runner.rig import Rig, Run, git, names_in, node
from test.runner.test_manager_copies import registry_copy
from test.support.pack_tree import another_file_system, tree_of
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


def test_a_nested_pack_of_the_image_and_an_empty_folder(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """The pack around it is reinstalled, it is carried over with its repository, and an empty folder keeps no pack
    out."""
    inner = make_pack(git_server, "Owner", "inner")
    other = make_pack(git_server, "Owner", "other")
    rig.install([node(pack), node(inner, subfolder=f"{pack.name}/inner")])
    nested = rig.custom_nodes / pack.name / "inner"
    write_own_files(nested)
    (rig.custom_nodes / other.name).mkdir()
    with of_the_image(rig):
        run = rig.install([node(pack), node(other)], options={"existing": "reinstall"})
        assert {run.state(name) for name in (pack.name, other.name)} == {"installed"}, run.said()
        own_files_are_there(nested)
        assert git(nested, "rev-parse", "HEAD") == inner.commit
        again = rig.install([node(inner, subfolder=f"{pack.name}/inner")], options={"existing": "reinstall"})
        assert again.state(inner.name) == "installed", again.said()
        own_files_are_there(nested)
        assert [name for name in names_in(nested.parent) if "nodeferry" in name] == []


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


def whole(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that is in a pack, but what git writes anew when it only looks."""
    return {path: facts for path, facts in tree_of(folder).items() if path != ".git/index"}


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
    before = whole(folder)
    with of_the_image(rig):
        run = killed_at(rig, pack, *MOMENTS[moment])
        run.sweep()
        assert names_in(rig.custom_nodes) in ([pack.name], [".disabled", pack.name])
        assert whole(folder) == before
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


def test_a_second_run_settles_what_no_sweep_did(rig: Rig, pack: Pack) -> None:
    """Also one that does not have the pack in its list."""
    folder = rig.custom_nodes / pack.name
    install(rig, pack)
    write_own_files(folder)
    with of_the_image(rig):
        run = killed_at(rig, pack, *MOMENTS["half of the old version is removed"])
        assert not (folder / "__init__.py").exists(), "half a pack is never imported"
        rig.install([])
        own_files_are_there(folder)
        assert names_in(rig.custom_nodes) == sorted([run.staging.name, pack.name])


def test_a_file_that_cannot_be_removed_fails_the_pack_and_leaves_it_whole(rig: Rig, pack: Pack) -> None:
    """The words name the file."""
    folder = rig.custom_nodes / pack.name
    install(rig, pack)
    write_own_files(folder)
    before = whole(folder)
    with of_the_image(rig):
        (folder / "models" / "locked.bin").write_text("mine")
        with locked(rig, folder / "models" / "locked.bin"):
            run = install(rig, pack, "reinstall")
        assert run.state(pack.name) == "failed not_permitted"
        error = run.snapshot().nodes[pack.name].error
        assert error is not None and "locked.bin" in error.message and "ls -l" in error.hint
        assert names_in(rig.custom_nodes) == [pack.name]
        (folder / "models" / "locked.bin").unlink()
        assert whole(folder) == before


def test_old_files_that_cannot_be_removed_are_told(rig: Rig, pack: Pack) -> None:
    """Where the folder can be renamed, the pack is installed anew, and the next runs go well too."""
    folder = rig.custom_nodes / pack.name
    install(rig, pack)
    with locked(rig, folder / "nodes" / "a.py"):
        run = install(rig, pack, "reinstall")
        assert run.state(pack.name) == "installed", run.said()
        assert [warning.code for warning in run.snapshot().warnings] == ["old_files_kept"]
        for existing in ("keep", "reinstall"):
            again = install(rig, pack, existing)
            assert again.state(pack.name) == "installed", again.said()
    assert [name for name in names_in(rig.custom_nodes) if not name.endswith(".disabled")] == [pack.name]


@pytest.mark.parametrize("existing", ["keep", "reinstall"])
@pytest.mark.parametrize("where", ["", "models"])
def test_a_volume_that_is_mounted_in_a_pack_is_told_and_left_alone(
    rig: Rig, pack: Pack, existing: str, where: str
) -> None:
    """On the pack's whole folder, or on a folder in it: what is on the volume is not copied, moved or removed."""
    folder = rig.custom_nodes / pack.name
    if where:
        install(rig, pack)
    with mounted(rig, folder / where):
        if not where:
            git(rig.custom_nodes, "clone", "-q", pack.url, pack.name)
        (folder / where / "own.bin").write_text("mine")
        run = install(rig, pack, existing)
        assert run.state(pack.name) == ("installed" if existing == "keep" else "failed folder_busy")
        assert (folder / where / "own.bin").read_text() == "mine"
        if existing == "reinstall":
            error = run.snapshot().nodes[pack.name].error
            assert error is not None
            assert f"mounted at {folder / where}" in error.message.rstrip("/")
            assert f"umount {folder / where}" in error.hint
        assert names_in(rig.custom_nodes) == [pack.name]


def test_a_new_pack_is_not_cloned_onto_an_empty_volume(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """It is told before anything is fetched."""
    with mounted(rig, rig.custom_nodes / pack.name):
        run = install(rig, pack)
        assert run.state(pack.name) == "failed folder_busy"
        assert names_in(rig.custom_nodes / pack.name) == []


@pytest.mark.parametrize("kind", ["clone", "registry copy"])
def test_a_link_to_another_folder_is_not_replaced(rig: Rig, pack: Pack, tmp_path: Path, kind: str) -> None:
    """A relative one would lead nowhere from `.disabled`."""
    folder = rig.custom_nodes / pack.name
    install(rig, pack) if kind == "clone" else registry_copy(folder, pack)
    folder.rename(rig.ui_home / "elsewhere")
    folder.symlink_to("../elsewhere")
    assert install(rig, pack, "reinstall").state(pack.name) == "failed name_taken"
    assert os.readlink(folder) == "../elsewhere"
    assert (folder / "__init__.py").exists()


def test_disabled_packs_may_lie_on_another_disk(rig: Rig, pack: Pack) -> None:
    """`.disabled` leads to a volume: the registry copy goes there, and comes back from there."""
    registry_copy(rig.custom_nodes / pack.name, pack)
    with another_file_system(rig.custom_nodes) as volume:
        (rig.custom_nodes / ".disabled").symlink_to(volume)
        before = tree_of(rig.custom_nodes / pack.name)
        run = install(rig, pack, "reinstall")
        assert run.state(pack.name) == "installed", run.said()
        assert names_in(volume) == [f"{pack.name}@replaced"]
        assert (rig.custom_nodes / pack.name / "models" / "own.bin").read_text() == "mine"
        restored = rig.install([], rollback_of=run.task_id)
        assert restored.state(pack.name) == "skipped rolled_back", restored.said()
        assert tree_of(rig.custom_nodes / pack.name) == before
        assert names_in(volume) == []
