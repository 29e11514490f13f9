"""Fixtures for the runner: the zipapp, the oldest Python here that can run it, and machines to run it on."""

from __future__ import annotations

import glob
import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.remote.packer import pack_runner
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.runner.rig import Rig, node

RigFactory = Callable[..., Rig]


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner as it is uploaded."""
    path = tmp_path_factory.mktemp("runner") / "runner.pyz"
    path.write_bytes(pack_runner().content)
    return path


@pytest.fixture(scope="session")
def old_python() -> str:
    """The oldest Python from 3.9 on that this machine has; else the one that runs the tests."""
    for minor in range(9, sys.version_info.minor):
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


@pytest.fixture(scope="session")
def own_uv(tmp_path_factory: pytest.TempPathFactory, pyz: Path, old_python: str) -> Iterator[tuple[Path, Rig]]:
    """A uv that a runner fetched for itself (None could be found), and the machine where it did."""
    root = tmp_path_factory.mktemp("own-uv")
    rig = Rig(root / "machine", pyz, old_python)
    with GitServer(root / "git") as server:
        pack = make_pack(server, "owner", "needy", requirements="toml\n")
        rig.environ["PATH"] = "/usr/bin:/bin"
        rig.install([node(pack)])
    found = sorted((rig.state / "tools").glob("uv/bin/uv"))
    yield (found[0] if found else Path(shutil.which("uv") or "/nowhere")), rig
    rig.end()


@pytest.fixture
def uv_rig(rig: Rig, own_uv: tuple[Path, Rig]) -> Rig:
    """A machine that has uv, on PATH."""
    rig.environ["PATH"] = f"{own_uv[0].parent}:/usr/bin:/bin"
    return rig
