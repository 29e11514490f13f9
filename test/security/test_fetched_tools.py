"""An index or a mirror that serves something else as the tools that a run fetches for itself."""

from __future__ import annotations

import io
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.protocol.events import Warned
from app.runner.resolve.fetched_tools import PIP, UV, Tool
from app.standin.environment import make_environment
from app.standin.git_server import GitServer
from test.plan.box import Box
from test.support.package_index import PackageIndex

_SYSTEMS_OWN = shutil.which("uv", path="/usr/bin:/bin")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    """An index without packages."""
    with PackageIndex(tmp_path / "index") as index:
        yield index


@pytest.fixture
def machine(tmp_path: Path, pyz: Path, venv_cache: Path) -> Box:
    """One whose environment has pip."""
    box = Box(tmp_path / "box", pyz, sys.executable, venv=False)
    box.environment = make_environment(box.ui_home / "venv", with_pip=True, cache=venv_cache)
    box.python = str(box.environment.python)  # one Python less that may be asked to fetch uv
    return box


@pytest.fixture
def box(machine: Box, uv_program: Path, git_server: GitServer, index: PackageIndex) -> Iterator[Box]:
    """A machine without uv, whose pip asks the index."""
    machine.use(git_server, index, uv_program)
    machine.environ |= {"PATH": "/usr/bin:/bin", "PIP_INDEX_URL": index.url, "PIP_RETRIES": "0"}
    index.wheel("wanted", "1.0")
    yield machine
    machine.end()


def _planted(name: str, version: str, mark: Path) -> tuple[str, bytes]:
    """A wheel of this name whose program leaves a mark when it is run."""
    info = f"{name}-{version}.dist-info"
    program = f"#!/bin/sh\ntouch {mark}\necho {name} {version}\n"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"{name}-{version}.data/scripts/{name}", program)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n")
    return f"{name}-{version}-py3-none-any.whl", content.getvalue()


@pytest.mark.slow
@pytest.mark.skipif(_SYSTEMS_OWN is not None, reason="this machine has a uv of its own")
def test_another_file_than_the_pinned_uv_is_refused(box: Box, index: PackageIndex, tmp_path: Path) -> None:
    """pip installs the packages, as where there is no uv."""
    mark = tmp_path / "it was run"
    index.file("uv", *_planted("uv", UV.version, mark))
    run = box.run_of(box.pack("pack", "wanted"))
    assert run.state("pack") == "installed", run.said()
    assert box.freeze()["wanted"] == "1.0"
    assert not mark.exists()
    assert {"uv_unavailable", "uv_refused"} <= {warning.code for warning in run.told(Warned)}


@pytest.mark.slow
@pytest.mark.skipif(_SYSTEMS_OWN is not None, reason="this machine has a uv of its own")
def test_neither_another_version_nor_a_build_nor_one_fetched_unchecked_is_run(
    box: Box, index: PackageIndex, tmp_path: Path
) -> None:
    """A newer wheel, a source archive of the pinned version, and what an earlier release of ours has fetched."""
    mark = tmp_path / "it was run for more than its version"
    index.file("uv", *_planted("uv", "99.0", mark))
    index.sdist("uv", UV.version, building=f"open({str(mark)!r}, 'w').close()")
    old = box.state / "tools/uv/bin/uv"
    old.parent.mkdir(parents=True)
    old.write_text(f'#!/bin/sh\n[ "$1" = --version ] || touch {mark}\necho uv 0.9.2\n')
    old.chmod(0o755)
    run = box.run_of(box.pack("pack", "wanted"))
    assert run.state("pack") == "installed", run.said()
    assert not mark.exists()
    assert "uv_unavailable" in {warning.code for warning in run.told(Warned)}


@pytest.mark.slow
def test_another_pip_than_the_pinned_one_is_never_lent(
    box: Box, index: PackageIndex, uv_program: Path, tmp_path: Path
) -> None:
    """A pack's install.py calls pip where the environment and Python have none: the index is asked for one."""
    assert box.environment is not None
    shutil.rmtree(box.ui_home / "venv")
    box.environment = make_environment(box.ui_home / "venv", with_pip=False)
    box.family = box.fingerprint()
    box.environ["PATH"] = f"{uv_program.parent}:/usr/bin:/bin"
    mark = tmp_path / "it was run"
    index.wheel("pip", PIP.version, modules={"pip/__init__.py": "", "pip/__main__.py": f"open({str(mark)!r}, 'w')\n"})
    site = next(box.environment.folder.glob("lib/python3.*/site-packages"))
    none = "import sys, glob; sys.modules['ensurepip'] = None; glob.glob = lambda *a, **k: []\n"
    (site / "no_ensurepip.pth").write_text(none)
    script = "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pip', 'install', 'x'], check=True)\n"
    run = box.run_of(box.pack("pack", install_py=script))
    assert not mark.exists()
    assert run.state("pack") == "failed no_installer", run.said()
    assert "pip_refused" in {warning.code for warning in run.told(Warned)}


@pytest.mark.parametrize("tool", [UV, PIP])
def test_a_tool_is_one_version_with_its_hashes(tool: Tool) -> None:
    assert re.fullmatch(r"[a-z]+==\d+(\.\d+)+( --hash=sha256:[0-9a-f]{64})+", tool.line)
