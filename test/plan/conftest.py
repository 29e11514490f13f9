"""Fixtures for the packages: machines with uv and an index of packages that the tests make, all on loopback."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.remote.packer import pack_runner
from app.standin.environment import make_environment
from app.standin.git_server import GitServer
from test.plan.box import Box
from test.support.package_index import PackageIndex

BoxFactory = Callable[..., Box]


@pytest.fixture(scope="session")
def uv_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A uv: the one on PATH, else fetched as the runner fetches it."""
    found = shutil.which("uv")
    if found:
        return Path(found)
    folder = tmp_path_factory.mktemp("uv")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    pip = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", "uv>=0.9,<1"]
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    return folder / "bin" / "uv"


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner as it is uploaded."""
    path = tmp_path_factory.mktemp("runner") / "runner.pyz"
    path.write_bytes(pack_runner().content)
    return path


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    """An index without packages."""
    with PackageIndex(tmp_path / "index") as index:
        yield index


@pytest.fixture
def box_factory(
    tmp_path: Path, pyz: Path, uv_program: Path, git_server: GitServer, index: PackageIndex
) -> Iterator[BoxFactory]:
    """Makes machines; at the end nothing of them runs."""
    numbers, made = itertools.count(), []

    def make(*, system_site_packages: bool = False) -> Box:
        root = tmp_path / f"box{next(numbers)}"
        box = Box(root, pyz, sys.executable, venv=False)
        system = root / "system" / "dist-packages" if system_site_packages else None
        box.environment = make_environment(box.ui_home / "venv", with_pip=False, system_packages=system)
        box.environ["PATH"] = f"{uv_program.parent}:/usr/bin:/bin"
        box.use(git_server, index, uv_program)
        made.append(box)
        return box

    yield make
    for box in made:
        box.end()


@pytest.fixture
def box(box_factory: BoxFactory) -> Box:
    """A machine."""
    return box_factory()
