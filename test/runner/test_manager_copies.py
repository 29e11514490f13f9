"""Packs that ComfyUI-Manager disabled, or took from the registry: recognised, told apart, never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.standin.git_rules import MISSING
from app.standin.git_server import GitServer
from app.standin.packs import Pack, make_pack
from test.runner.rig import Rig, Run, names_in, node

pytestmark = pytest.mark.slow


@pytest.fixture
def pack(git_server: GitServer) -> Pack:
    return make_pack(git_server, "Owner", "ComfyUI-Pack", files={"config.json": "{}\n"})


def install(rig: Rig, pack: Pack, existing: str = "keep") -> Run:
    return rig.install([node(pack)], options={"existing": existing, "verify": False})


def registry_copy(folder: Path, pack: Pack) -> None:
    """As Manager leaves one: its files listed, its repository named; and what the user put there since."""
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    (folder / "pyproject.toml").write_text(f'[project]\nname = "pack"\n[project.urls]\nRepository = "{pack.url}.git"\n')
    (folder / ".tracking").write_text("__init__.py\npyproject.toml\nonly_there.py")
    (folder / "only_there.py").write_text("")
    (folder / "models").mkdir()
    (folder / "models" / "own.bin").write_text("mine")


@pytest.mark.parametrize("where", [".disabled/comfyui-pack@1_2_0", ".disabled/ComfyUI-Pack", "ComfyUI-Pack.disabled"])
def test_a_disabled_pack_is_not_installed_a_second_time(rig: Rig, pack: Pack, where: str) -> None:
    """It was disabled on purpose; a fresh copy comes when asked for."""
    folder = rig.custom_nodes / where
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    run = install(rig, pack)
    assert run.state(pack.name) == "failed pack_disabled"
    error = run.snapshot().nodes[pack.name].error
    assert error is not None
    assert where in error.message
    assert "reinstall" in error.hint
    assert not (rig.custom_nodes / pack.name).exists()
    assert install(rig, pack, "reinstall").state(pack.name) == "installed"
    assert (folder / "__init__.py").exists()


@pytest.mark.parametrize("name", ["ComfyUI-Pack", "comfyui-pack", "another-name"])
@pytest.mark.parametrize("existing", ["keep", "update"])
def test_a_copy_from_the_registry_is_left_alone(rig: Rig, pack: Pack, name: str, existing: str) -> None:
    """Under whatever name: by its own, or by the repository that it names."""
    registry_copy(rig.custom_nodes / name, pack)
    run = install(rig, pack, existing)
    assert run.state(pack.name) == "failed registry_copy"
    assert names_in(rig.custom_nodes) == [name]


@pytest.mark.parametrize("name", ["ComfyUI-Pack", "comfyui-pack"])
def test_reinstall_puts_the_repository_in_its_place(rig: Rig, pack: Pack, name: str) -> None:
    """The user's own files come along, and the old copy is kept aside, told where."""
    registry_copy(rig.custom_nodes / name, pack)
    run = install(rig, pack, "reinstall")
    assert run.state(pack.name) == "installed"
    new = rig.custom_nodes / pack.name
    assert (new / ".git").is_dir()
    assert (new / "models" / "own.bin").read_text() == "mine"
    assert not (new / "only_there.py").exists()
    assert not (new / ".tracking").exists()
    assert (rig.custom_nodes / ".disabled" / f"{name}@replaced" / "only_there.py").exists()
    assert [warning.code for warning in run.snapshot().warnings] == ["registry_copy_replaced"]
    assert names_in(rig.custom_nodes) == [".disabled", pack.name]


def test_a_reinstall_that_cannot_be_fetched_leaves_the_copy(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """What is there works; it goes only when the new one is whole."""
    registry_copy(rig.custom_nodes / pack.name, pack)
    before = names_in(rig.custom_nodes / pack.name)
    git_server.set_rule(pack.repo, MISSING)
    assert install(rig, pack, "reinstall").state(pack.name) == "failed repository_not_found"
    assert names_in(rig.custom_nodes / pack.name) == before
    assert names_in(rig.custom_nodes) == [pack.name]
