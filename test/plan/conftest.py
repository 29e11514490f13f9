"""Fixtures for the packages: machines with uv and an index of packages that the tests make, all on loopback."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.standin.environment import make_environment
from app.standin.git_server import GitServer
from test.plan.box import Box
from test.support.package_index import PackageIndex

BoxFactory = Callable[..., Box]


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
