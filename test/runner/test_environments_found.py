"""Which Python is taken for ComfyUI's: environments as people and tools make them, each with a real interpreter."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from app.runner.machine.interpreter import choose_interpreter
from app.runner.process.errors import RunFault
from app.standin.environment import make_environment
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from app.standin.tree import write_tree
from test.runner.rig import Rig, node
from test.support.waiting import wait_until

Place = Callable[[Path], Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ComfyUI without an environment, and a login's home."""
    write_tree(tmp_path / "work" / "ComfyUI")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT", "UV_PROJECT_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "work" / "ComfyUI"


def conda(folder: Path) -> Path:
    """An environment as conda makes it: no pyvenv.cfg, but conda-meta."""
    shutil.copytree(made(folder.with_name("made")), folder, symlinks=True)
    (folder / "conda-meta").mkdir()
    return folder


def portable(folder: Path) -> Path:
    """A portable build: the interpreter is in the folder itself."""
    inner = made(folder / "inner")
    (folder / "python").write_text(f'#!/bin/sh\nexec {inner}/bin/python "$@"\n')
    (folder / "python").chmod(0o755)
    shutil.move(inner / "pyvenv.cfg", inner / "kept.cfg")
    shutil.move(inner / "kept.cfg", inner / "pyvenv.cfg")
    return folder


def linked(folder: Path) -> Path:
    """A link to an environment on another volume."""
    volume = made(folder.parent.parent / "volume" / "py")
    folder.symlink_to(volume)
    return folder


def pyenv(folder: Path) -> Path:
    """A virtual environment of pyenv's, which .python-version names."""
    made(Path.home() / ".pyenv" / "versions" / "comfy-3.12")
    (folder / ".python-version").write_text("comfy-3.12\n")
    return folder


def made(folder: Path) -> Path:
    return make_environment(folder, with_pip=False).folder


@pytest.mark.parametrize(
    "where",
    [
        "ComfyUI/venv",
        "ComfyUI/.venv",
        "ComfyUI/.venv-cu128",
        "ComfyUI/venv312",
        "ComfyUI/env",
        "ComfyUI/comfyui-env",
        "ComfyUI/.conda",
        "ComfyUI/.env",
        "ComfyUI/python3.12",
        "ComfyUI",
        "venv",
        ".venv",
        "comfyenv",
        "env-of-mine",
        "../home/.cache/pypoetry/virtualenvs/comfyui-x7Yp-py3.12",
        "../home/.local/share/virtualenvs/ComfyUI-a1b2c3",
        "../home/.virtualenvs/comfy",
        "../home/miniconda3/envs/comfyui",
        "../home/miniforge3/envs/comfy312",
    ],
)
def test_an_environment_is_found_wherever_it_is(home: Path, where: str) -> None:
    """Its name does not matter beside ComfyUI; elsewhere it has ComfyUI's."""
    folder = home.parent / where
    made(folder)
    found = choose_interpreter(home, None)
    assert Path(found.environment.prefix).resolve() == folder.resolve()
    assert found.environment.torch_version
    assert found.others == ()


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (conda, "ComfyUI/conda-env"),
        (conda, "env"),
        (portable, "python_embeded"),
        (linked, "ComfyUI/venv"),
        (pyenv, "ComfyUI"),
    ],
)
def test_one_that_is_no_usual_virtual_environment_is_found(home: Path, make: Place, where: str) -> None:
    """conda's, a portable build's, a linked one, pyenv's."""
    make(home.parent / where)
    found = choose_interpreter(home, None)
    assert found.environment.torch_version, found
    assert found.environment.prefix != sys.prefix


def test_another_programs_environment_beside_it_is_not_taken(home: Path) -> None:
    """It has torch, and nothing else that ComfyUI needs; ComfyUI's own has a name that comes later."""
    (home / "requirements.txt").write_text("torch\neinops\naiohttp>=3.11.8\nPyYAML # comment\n-r other.txt\n")
    made(home.parent / "a-webui-venv")
    own = made(home.parent / "venv-of-comfy-2")
    site = next(own.glob("lib/python3.*/site-packages"))
    for name in ("einops", "aiohttp", "pyyaml"):
        (site / f"{name}-3.99.dist-info").mkdir()
        (site / f"{name}-3.99.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 3.99\n")
    own = own.rename(own.with_name("z-own"))
    assert Path(choose_interpreter(home, None).environment.prefix) == own


def test_one_without_torch_gives_way_to_one_with_it(home: Path) -> None:
    """People make `venv` for something else, and run ComfyUI from another one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
    own = made(home / ".venv-cu128")
    assert Path(choose_interpreter(home, None).environment.prefix) == own


def test_several_are_told_and_asked_for(home: Path) -> None:
    """Both have all that ComfyUI needs. The usual name is the default; the answer decides. Two names of one environment
    are no question."""
    usual, other = made(home / "venv"), made(home / "venv312")
    (home / "also").symlink_to(usual)
    found = choose_interpreter(home, None)
    assert Path(found.environment.prefix) == usual
    assert [Path(each.python).parent.parent for each in found.others] == [other]
    asked: list[Mapping[str, str]] = []

    def choose(_text: str, answers: Mapping[str, str]) -> str:
        asked.append(answers)
        return "2"

    found = choose_interpreter(home, None, choose=choose)
    assert Path(found.environment.prefix) == other
    assert [str(home / "venv312") in answers["2"] for answers in asked] == [True]
    assert len(asked[0]) == 2


@pytest.mark.parametrize("how", ["base gone", "link gone", "not executable"])
def test_a_broken_one_is_named_and_nothing_else_is_taken(home: Path, how: str) -> None:
    """The volume came to a machine without the Python that it was made with. The system's own Python is no substitute:
    it has no torch. With another environment that has it, that one is used, and the broken one told."""
    folder = home / "venv"
    if how == "link gone":
        folder.symlink_to(home.parent / "volume" / "venv")
    else:
        made(folder)
        for link in folder.glob("bin/python*"):
            link.unlink()
            if how == "base gone":
                link.symlink_to("/usr/bin/python3.6-gone")
            else:
                link.write_text("")
    with pytest.raises(RunFault) as refused:
        choose_interpreter(home, None)
    assert refused.value.problem.code == "interpreter_not_found"
    assert str(folder) in refused.value.problem.message
    assert "uv venv" in refused.value.problem.hint
    other = made(home / "venv-new")
    found = choose_interpreter(home, None)
    assert Path(found.environment.prefix) == other
    assert [each.folder for each in found.broken] == [folder]


@pytest.mark.parametrize("given", ["", "bin", "bin/python", "pyvenv.cfg"])
def test_venv_path_may_be_any_part_of_it(home: Path, given: str) -> None:
    """People copy what they see: the folder, its bin, the interpreter, the file."""
    folder = made(home.parent.parent / "elsewhere")
    made(home / "venv")
    found = choose_interpreter(home, str(folder / given))
    assert Path(found.environment.prefix) == folder


def test_it_is_told_which_one_was_taken(rig: Rig, git_server: GitServer) -> None:
    """In the step, and in a warning that names the others."""
    make_environment(rig.ui_home / ".venv-cu128", with_pip=False)
    run = rig.install([node(make_pack(git_server, "o", "small"))])
    snapshot = run.snapshot()
    assert f"it is in {rig.ui_home}" in snapshot.steps["Configure venv path"].detail
    (warning,) = [each for each in snapshot.warnings if each.code == "other_environments"]
    assert str(rig.ui_home / ".venv-cu128" / "bin" / "python") in warning.message
    assert "venv_path" in warning.hint


def test_a_run_asks_which_one(rig: Rig, git_server: GitServer) -> None:
    """Where somebody wants to be asked."""
    make_environment(rig.ui_home / ".venv-cu128", with_pip=False)
    run = rig.start([node(make_pack(git_server, "o", "small"))], options={"ask": "ask"})
    wait_until(lambda: bool(run.snapshot().questions), 30, "the run asks")
    (question,) = run.snapshot().questions.values()
    assert question.asked.code == "choose_environment"
    rig.call("answer", run.task_id, f"--question={question.asked.id}", "--answer=2")
    run.wait()
    assert ".venv-cu128" in run.snapshot().steps["Configure venv path"].detail
