"""An environment without pip, as `uv venv` makes it: scripts and imports get one for the time of the run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.runner.resolve.fetched_tools import PIP
from app.standin.environment import make_environment
from app.standin.git_server import GitServer
from test.guard.conftest import pip, uv, verified, warnings
from test.plan.box import Box
from test.support.package_index import PackageIndex

pytestmark = pytest.mark.slow
BY_NAME = "import subprocess\nsubprocess.run(['pip', 'install', 'by-name'], check=True)\n"
UV_MODULE = (
    "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'uv', 'pip', 'install', 'by-uv'], check=True)\n"
)
UV_NAME = "import subprocess\nsubprocess.run(['uv', 'pip', 'install', 'by-bare-uv'], check=True)\n"
SEES = """import json, os
keys = ("COMFYUI_PATH", "COMFYUI_FOLDERS_BASE_PATH", "TMPDIR")
json.dump({**{key: os.environ.get(key) for key in keys}, "cwd": os.getcwd()}, open("seen.json", "w"))
import tempfile
tempfile.mkdtemp(prefix="pip-unpack-")
os.makedirs(os.path.join(os.environ.get("COMFYUI_PATH", "../"), "models", "checkpoints"), exist_ok=True)
"""


@pytest.fixture
def box(pyz: Path, git_server: GitServer, index: PackageIndex, uv_program: Path, tmp_path: Path) -> Iterator[Box]:
    """A machine whose environment has no pip."""
    box = Box(tmp_path / "box", pyz, sys.executable, venv=False)
    box.environment = make_environment(box.ui_home / "venv", with_pip=False)
    box.environ = {key: value for key, value in box.environ.items() if not key.startswith("PIP_")}
    box.environ |= {"PATH": f"{uv_program.parent}:/usr/bin:/bin", "PIP_INDEX_URL": index.url, "PIP_RETRIES": "0"}
    box.environ |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    box.environ.pop("TMPDIR", None)
    box.use(git_server, index, uv_program)
    yield box
    box.end()


def test_scripts_call_pip_and_uv_in_every_way_and_nothing_of_them_stays(box: Box, index: PackageIndex) -> None:
    """The protections hold, what another pack needs is put back, and the environment has no pip afterwards."""
    for name in ("by-module", "by-name", "by-uv", "by-bare-uv"):
        index.wheel(name, "1.0")
    index.wheel("lib", "1.0"), index.wheel("lib", "2.0"), index.wheel("torch", "2.4.0")
    run = box.run_of(
        box.pack("careful", "lib<2"),
        box.pack("module", install_py=pip("install", "by-module", "lib==2.0")),
        box.pack("name", install_py=BY_NAME),
        box.pack("uv-module", install_py=UV_MODULE),
        box.pack("uv-name", install_py=UV_NAME),
        box.pack("torch", install_py=pip("install", "torch==2.4.0")),
        box.pack("sees", install_py=SEES),
    )
    assert {name: run.state(name) for name in ("module", "name", "uv-module", "uv-name")} == dict.fromkeys(
        ("module", "name", "uv-module", "uv-name"), "installed"
    ), [(n, node.error) for n, node in run.snapshot().nodes.items()]
    found = box.freeze()
    assert {"by-module", "by-name", "by-uv", "by-bare-uv"} <= set(found)
    assert found["lib"] == "1.0", "what another pack needs was put back"
    assert not {"pip", "uv"} & set(found)
    assert run.state("torch").startswith("failed")
    assert not Path(f"/tmp/nodeferry-{run.task_id}.lent").exists(), "nothing of ours stays in /tmp"
    seen = (box.custom_nodes / "sees" / "seen.json").read_text()
    assert f'"COMFYUI_PATH": "{box.ui_home}", "COMFYUI_FOLDERS_BASE_PATH": "{box.ui_home}"' in seen
    assert f'"cwd": "{box.custom_nodes / "sees"}"' in seen
    assert (box.ui_home / "models" / "checkpoints").is_dir()
    assert not (box.custom_nodes / "models").exists()


def test_a_pack_that_calls_pip_at_import_is_judged_by_the_start_without(box: Box, index: PackageIndex) -> None:
    """One installs what it lacks and loads from then on; one calls pip each time and will not load without."""
    index.wheel("lazily", "1.0", modules={"lazily.py": ""})
    once = "try:\n    import lazily\nexcept ImportError:\n"
    once += "".join(f"    {line}\n" for line in pip("install", "lazily", then="import lazily").splitlines())
    mapping = "\nNODE_CLASS_MAPPINGS = {'%s': object}\n"
    run = verified(
        box,
        box.pack("once", files={"__init__.py": once + mapping % "once"}),
        box.pack("always", files={"__init__.py": pip("--version") + mapping % "always"}),
        box.pack("by-uv", files={"__init__.py": uv("--version") + mapping % "by-uv"}),
    )
    assert run.state("once") == "verified"
    assert run.state("always") == "failed no_installer"
    assert "has no pip" in warnings(run)["pip_lent"]


def _fetched_pip(folder: Path) -> Path:
    """The wheel of the pip that is lent, from the registry."""
    argv = [sys.executable, "-m", "pip", "download", "-q", "-d", str(folder / "pip"), *PIP.arguments(folder)]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    return next((folder / "pip").glob("pip-*.whl"))


@pytest.mark.registry
@pytest.mark.parametrize("on_the_index", [True, False])
def test_where_python_brings_no_pip_the_index_is_asked(
    box: Box, index: PackageIndex, tmp_path: Path, on_the_index: bool
) -> None:
    """Debian's Python without python3-venv has no ensurepip. Where there is none at all, that is said plainly."""
    assert box.environment is not None
    if on_the_index:
        wheel = _fetched_pip(tmp_path)
        index.file("pip", wheel.name, wheel.read_bytes())
    index.wheel("by-module", "1.0")
    site = next(box.environment.folder.glob("lib/python3.*/site-packages"))
    none = "import sys, glob; sys.modules['ensurepip'] = None; glob.glob = lambda *a, **k: []\n"
    (site / "no_ensurepip.pth").write_text(none)
    run = box.run_of(box.pack("module", install_py=pip("install", "by-module")))
    assert "pip" not in box.freeze()
    if on_the_index:
        assert run.state("module") == "installed"
        return
    error = run.snapshot().nodes["module"].error
    assert error is not None
    assert error.code == "no_installer"
    assert "environment has no pip" in error.message
