"""Fixtures for the runner: the oldest Python here that can run it, and machines to run on."""

from __future__ import annotations

import glob
import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from test.runner.rig import Rig

RigFactory = Callable[..., Rig]


@pytest.fixture(scope="session")
def old_python() -> str:
    """The oldest Python from 3.9 on that this machine has; else the one that runs the tests."""
    return python_of()


def python_of(*, newest: bool = False) -> str:
    """The oldest, or the newest, Python from 3.9 on that this machine has; else the one that runs the tests."""
    minors = range(9, sys.version_info.minor + 4 if newest else sys.version_info.minor)
    for minor in reversed(minors) if newest else minors:
        found = [
            shutil.which(f"python3.{minor}"),
            *glob.glob(str(Path.home() / f".pyenv/versions/3.{minor}.*/bin/python3")),
        ]
        for python in filter(None, found):
            if _is_python(python, minor):
                return python
    return sys.executable


def _is_python(python: str, minor: int) -> bool:
    """It runs (a pyenv shim may not), and is what its name says."""
    code = f"import sys, ctypes, zlib; sys.exit(sys.version_info[:2] != (3, {minor}))"
    return subprocess.run([python, "-I", "-S", "-c", code], capture_output=True, check=False).returncode == 0


@pytest.fixture
def rig_factory(tmp_path: Path, pyz: Path, old_python: str) -> Iterator[RigFactory]:
    """Makes machines; at the end nothing of them runs."""
    numbers, made = itertools.count(), []

    def make(**options: object) -> Rig:
        rig = Rig(tmp_path / f"machine{next(numbers)}", pyz, old_python, **options)  # type: ignore[arg-type]
        made.append(rig)
        return rig

    yield make
    for rig in made:
        rig.end()


@pytest.fixture
def rig(rig_factory: RigFactory) -> Rig:
    """A machine."""
    return rig_factory()


@pytest.fixture
def uv_rig(rig: Rig, uv_program: Path) -> Rig:
    """A machine that has uv, on PATH."""
    rig.environ["PATH"] = f"{uv_program.parent}:/usr/bin:/bin"
    return rig
