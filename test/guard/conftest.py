"""A machine with uv and pip, an index on loopback, and packs whose own code calls both."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.protocol.events import RunEnded
from app.standin.environment import make_environment
from app.standin.git_server import GitServer
from test.plan.box import Box
from test.runner.rig import Run
from test.support.package_index import PackageIndex

BoxFactory = Callable[..., Box]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    """An index without packages."""
    with PackageIndex(tmp_path / "index") as index:
        yield index


@pytest.fixture
def make_box_of(pyz: Path, venv_cache: Path) -> BoxFactory:
    """Makes a machine whose environment has pip, in this folder."""

    def make(root: Path, system: Path | None = None) -> Box:
        box = Box(root, pyz, sys.executable, venv=False)
        venv = box.ui_home / "venv"
        box.environment = make_environment(venv, with_pip=True, cache=venv_cache, system_packages=system)
        return box

    return make


@pytest.fixture
def box_factory(
    make_box_of: BoxFactory, git_server: GitServer, index: PackageIndex, uv_program: Path, tmp_path: Path
) -> Iterator[BoxFactory]:
    """Makes machines; at the end nothing of them runs. They lie in a folder of that name."""
    made: list[Box] = []

    def make(name: str = "box", *, system_site_packages: bool = False) -> Box:
        box = make_box_of(tmp_path / name, tmp_path / name / "system/dist-packages" if system_site_packages else None)
        box.environ = {key: value for key, value in box.environ.items() if not key.startswith("PIP_")}
        box.environ |= {"PATH": f"{uv_program.parent}:/usr/bin:/bin", "PIP_INDEX_URL": index.url}
        box.environ |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_RETRIES": "0"}
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


def pip(*arguments: str, then: str = "") -> str:
    """Python that calls ComfyUI's pip."""
    return _calling(["-m", "pip", *arguments], "[sys.executable, *%r]", then)


def uv(*arguments: str, then: str = "") -> str:
    """Python that calls uv."""
    return _calling(list(arguments), "['uv', 'pip', %r[0], '--python', sys.executable, *%r[1:]]", then)


def _calling(arguments: list[str], argv: str, then: str) -> str:
    call = argv.replace("%r", repr(arguments))
    return f"import subprocess, sys\nsubprocess.run({call}, check=True)\n{then}\n"


def warnings(run: Run, *, ended: str = "completed") -> dict[str, str]:
    """What was warned of, by its code; the run came to its end."""
    assert run.told(RunEnded, state=ended), run.said()
    told: dict[str, str] = {}
    for warning in run.snapshot().warnings:
        told[warning.code] = f"{told.get(warning.code, '')} {warning.message}".strip()
    return told


def verified(box: Box, *packs: dict[str, Any], **request: Any) -> Run:
    """An install with ComfyUI's imports."""
    options = {"verify": True, **request.pop("options", {})}
    limits = {"retry_waits": [0, 0.05], "import_idle": 20, **request.pop("limits", {})}
    return box.install(list(packs), limits=limits, options=options, **request)
