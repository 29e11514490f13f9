"""The Python environment of a stand-in: real enough for pip to judge it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from app.standin.environment import Environment, make_environment
from app.standin.torch_family import family_files, fingerprint_of

FAMILY = {"torch": "2.9.1+cu128", "torchvision": "0.24.1+cu128", "torchaudio": "2.9.1+cu128"}


def output_of(environment: Environment, *arguments: str) -> str:
    """What the environment's interpreter prints."""
    command = [str(environment.python), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_it_works(tmp_path: Path) -> None:
    """Without pip: the family is there by import and by metadata, and there is no GPU."""
    environment = make_environment(tmp_path / "venv", with_pip=False)
    program = "import importlib.metadata as m, torch; print(torch.cuda.is_available(), m.version('torch'))"
    assert output_of(environment, "-c", program) == "False 2.9.1+cu128\n"
    assert subprocess.run([environment.python, "-m", "pip"], capture_output=True, check=False).returncode == 1


@pytest.mark.slow
def test_pip_takes_the_family_for_what_it_says(tmp_path: Path, venv_cache: Path) -> None:
    """pip lists it, finds it consistent, and finds all files of a distribution by its RECORD."""
    environment = make_environment(tmp_path / "venv", with_pip=True, cache=venv_cache)
    listed = dict(line.split("==") for line in output_of(environment, "-m", "pip", "freeze").splitlines())
    assert FAMILY.items() <= listed.items()
    assert "No broken requirements" in output_of(environment, "-m", "pip", "check")
    output_of(environment, "-m", "pip", "uninstall", "--yes", *FAMILY)
    assert family_files(environment.packages) == []


@pytest.mark.slow
def test_a_copied_environment_is_its_own(tmp_path: Path, venv_cache: Path) -> None:
    """No script of it names the one that it was copied from, and what is changed in it is not changed there."""
    environment = make_environment(tmp_path / "a b" / "venv", with_pip=True, cache=venv_cache)
    assert output_of(environment, "-c", "import sys; print(sys.prefix)").strip() == str(environment.folder)
    scripts = [path for path in (environment.folder / "bin").iterdir() if not path.is_symlink()]
    assert not [path for path in scripts if os.fsencode(venv_cache) in path.read_bytes()]
    (environment.folder / "bin" / "pip").write_text("changed")
    output_of(environment, "-m", "pip", "uninstall", "--yes", "pip")
    another = make_environment(tmp_path / "another", with_pip=True, cache=venv_cache)
    pip = another.folder / "bin" / "pip"
    assert subprocess.run([pip, "--version"], capture_output=True, check=True).stdout.startswith(b"pip ")


def test_the_systems_packages_are_seen_but_not_in_it(tmp_path: Path) -> None:
    """With system packages torch can be imported, and is not in the environment's own folder."""
    environment = make_environment(tmp_path / "venv", with_pip=False, system_packages=tmp_path / "system")
    assert output_of(environment, "-c", "import torch; print(torch.__file__)").startswith(str(tmp_path / "system"))
    assert not list((tmp_path / "venv").glob("lib/*/site-packages/torch*"))
    assert "include-system-site-packages = true" in (tmp_path / "venv" / "pyvenv.cfg").read_text()


def test_fingerprints_are_the_same_for_the_same_family(tmp_path: Path) -> None:
    """Two environments have one fingerprint."""
    made = [make_environment(tmp_path / name, with_pip=False) for name in ("a", "b")]
    assert len({fingerprint_of(environment.packages) for environment in made}) == 1
