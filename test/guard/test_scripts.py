"""install.py that calls real pip and real uv: what it may not do, what is put back after it, and what is told."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import pytest

from app.protocol.states import Phase, StepStatus
from test.guard.conftest import BoxFactory, pip, uv, verified, warnings
from test.plan.box import Box
from test.support.package_index import PackageIndex

pytestmark = pytest.mark.slow

INSTALLERS = pytest.mark.parametrize("call", [pip, uv], ids=["pip", "uv"])
Call = Callable[..., str]


def cv2(version: str, *, contrib: bool = False) -> dict[str, str]:
    """The files of one of OpenCV's packages."""
    files = {"cv2/__init__.py": f"__version__ = {version!r}\n", "cv2/core.py": f"core = {version!r}\n"}
    return files | ({"cv2/ximgproc.py": f"extra = {version!r}\n"} if contrib else {})


def opencv(index: PackageIndex, *names: str, versions: tuple[str, ...] = ("4.11.0.86", "5.1.0.3")) -> None:
    """These packages in these versions."""
    for name in names:
        for version in versions:
            index.wheel(name, version, modules=cv2(version, contrib="contrib" in name))


def said_by_cv2(box: Box) -> str:
    assert box.environment is not None
    code = "import cv2, cv2.core, cv2.ximgproc; print(cv2.__version__, cv2.core.core, cv2.ximgproc.extra)"
    return subprocess.run([box.environment.python, "-c", code], capture_output=True, text=True, check=True).stdout


@INSTALLERS
def test_a_second_opencv_over_the_chosen_one_is_brought_to_one(box: Box, index: PackageIndex, call: Call) -> None:
    """contrib over headless: the headless contrib stays, in the version that was chosen, with all its files."""
    opencv(index, "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
    chooser = box.pack("chooser", "opencv-python-headless<5")
    run = box.run_of(chooser, box.pack("second", install_py=call("install", "opencv-contrib-python")))
    found = {name: version for name, version in box.freeze().items() if name.startswith("opencv")}
    assert found == {"opencv-contrib-python-headless": "4.11.0.86"}
    assert said_by_cv2(box) == "4.11.0.86 4.11.0.86 4.11.0.86\n"
    told = warnings(run)["changed_by_script"]
    assert (
        "The install.py of second changed installed packages: opencv-contrib-python not installed -> 5.1.0.3." in told
    )
    assert "opencv-contrib-python-headless 4.11.0.86 was installed anew" in told
    assert run.state("second") == "installed"


def test_two_variants_that_cannot_be_brought_to_one_are_told(box: Box, index: PackageIndex) -> None:
    """The index has gone when one of them has to be installed again: both stay, and both are named."""
    opencv(index, "opencv-python-headless", "opencv-contrib-python")
    gone = "import shutil, os\nfor name in ('opencv-python-headless', 'opencv-contrib-python'):\n"
    gone += f"    shutil.rmtree(os.path.join({str(index.folder)!r}, 'simple', name))\n"
    gone += "shutil.rmtree(os.environ['UV_CACHE_DIR'], ignore_errors=True)\n"
    script = pip("install", "--no-cache-dir", "opencv-contrib-python", then=gone)
    run = box.run_of(box.pack("chooser", "opencv-python-headless<5"), box.pack("second", install_py=script))
    assert {"opencv-python-headless", "opencv-contrib-python"} <= set(box.freeze())
    told = warnings(run)["variants_side_by_side"]
    assert "opencv-contrib-python 5.1.0.3 and opencv-python-headless 4.11.0.86" in told
    assert "install.py of second" in told


def test_onnxruntime_beside_onnxruntime_gpu(box: Box, index: PackageIndex) -> None:
    """The chosen one stays, and its files are its own again."""
    for name in ("onnxruntime-gpu", "onnxruntime"):
        for version in ("1.17.0", "1.20.0"):
            index.wheel(name, version, modules={"onnxruntime/__init__.py": f"which = '{name} {version}'\n"})
    box.have("onnxruntime-gpu==1.17.0")
    run = box.run_of(box.pack("p", install_py=pip("install", "onnxruntime")))
    assert {n: v for n, v in box.freeze().items() if n.startswith("onnx")} == {"onnxruntime-gpu": "1.17.0"}
    assert box.environment is not None
    assert "gpu 1.17.0" in next(box.environment.folder.glob("lib/*/site-packages/onnxruntime/__init__.py")).read_text()
    assert "onnxruntime-gpu 1.17.0 was installed anew" in warnings(run)["changed_by_script"]


@INSTALLERS
def test_a_version_that_another_pack_needs_is_put_back(box: Box, index: PackageIndex, call: Call) -> None:
    """What another pack of the list asks for within bounds, by its requirements; the free one stays as it is now."""
    for name in ("numpy", "free"):
        index.wheel(name, "1.26.4"), index.wheel(name, "2.4.0")
    box.have("free==1.26.4")
    run = box.run_of(
        box.pack("careful", "numpy<2"), box.pack("greedy", install_py=call("install", "-U", "numpy", "free"))
    )
    assert box.freeze()["numpy"] == "1.26.4"
    assert box.freeze()["free"] == "2.4.0"
    told = warnings(run)["changed_by_script"]
    assert "numpy 1.26.4 -> 2.4.0" in told
    assert "Nodeferry put back numpy 1.26.4 (careful needs numpy<2, and 2.4.0 is installed)" in told


def test_what_came_with_it_goes_back_too_where_it_was_there_before(box: Box, index: PackageIndex) -> None:
    """The script's upgrade needs the new numpy: it goes back; what is new and needs it is told."""
    index.wheel("numpy", "1.26.4"), index.wheel("numpy", "2.4.0")
    index.wheel("scikit", "1.0", ["numpy"]), index.wheel("scikit", "2.0", ["numpy>=2"])
    index.wheel("newcomer", "1.0", ["numpy>=2"])
    box.have("scikit==1.0")
    run = box.run_of(
        box.pack("careful", "numpy<2"),
        box.pack("greedy", install_py=pip("install", "-U", "numpy", "scikit", "newcomer")),
    )
    found = box.freeze()
    assert (found["numpy"], found["scikit"], found["newcomer"]) == ("1.26.4", "1.0", "1.0")
    told = warnings(run)["changed_by_script"]
    assert "newcomer 1.0 needs numpy>=2, and 1.26.4 is installed" in told


def test_a_pack_that_was_there_before_counts_and_so_does_an_installed_package(box: Box, index: PackageIndex) -> None:
    """Neither is in the list; both lose what they need."""
    for version in ("1.0", "2.0"):
        index.wheel("lib", version), index.wheel("base", version)
    index.wheel("user", "1.0", ["base<2"])
    box.have("lib==1.0", "base==1.0", "user==1.0")
    (box.custom_nodes / "older").mkdir()
    (box.custom_nodes / "older" / "requirements.txt").write_text("lib<2 ; python_version > '3'\nnever-there\n")
    run = box.run_of(box.pack("greedy", install_py=pip("install", "-U", "lib", "base")))
    assert (box.freeze()["lib"], box.freeze()["base"]) == ("1.0", "1.0")
    told = warnings(run)["changed_by_script"]
    assert "older needs lib<2, and 2.0 is installed" in told
    assert "user 1.0 needs base<2, and 2.0 is installed" in told
    assert "never-there" not in told


@INSTALLERS
def test_a_package_that_is_taken_away_comes_back_from_where_it_was(box: Box, index: PackageIndex, call: Call) -> None:
    """One of ComfyUI's own, one from an address; one that nobody needs is told and left."""
    index.wheel("aiohttp", "3.9"), index.wheel("unneeded", "1.0")
    address = index.wheel("handmade", "1.0")
    box.have("aiohttp==3.9", "unneeded", f"handmade @ {address}")
    (box.ui_home / "requirements.txt").write_text("torch\naiohttp\n")
    yes = [] if call is uv else ["-y"]
    run = box.run_of(
        box.pack("needs-it", "handmade"),
        box.pack("remover", install_py=call("uninstall", *yes, "aiohttp", "handmade", "unneeded")),
    )
    assert "unneeded" not in box.freeze()
    assert box.freeze()["aiohttp"] == "3.9"
    assert box.environment is not None
    origin = next(box.environment.folder.glob("lib/*/site-packages/handmade-1.0.dist-info/direct_url.json"))
    assert json.loads(origin.read_text())["url"] == address
    told = warnings(run)["changed_by_script"]
    assert "unneeded 1.0 -> not installed" in told
    assert "aiohttp 3.9 (ComfyUI needs aiohttp, and it is not installed)" in told


@INSTALLERS
def test_another_torch_is_refused_in_the_installers_own_words(box: Box, index: PackageIndex, call: Call) -> None:
    """The script fails, and torch's build is never touched."""
    index.wheel("torch", "2.4.0"), index.wheel("torch", "2.10.0")
    run = box.run_of(box.pack("other", install_py=call("install", "torch==2.4.0")))
    assert run.state("other").startswith("failed")
    error = run.snapshot().nodes["other"].error
    assert error is not None
    assert "torch==2.4.0" in error.message
    assert "changed_by_script" not in warnings(run)


@pytest.mark.parametrize("on_an_index", [False, True])
def test_a_torch_that_is_changed_all_the_same(box: Box, index: PackageIndex, on_an_index: bool) -> None:
    """By a pip that is told to forget its constraints: put back where the local build can be had, else Verify fails."""
    index.wheel("torchaudio", "2.10.0")
    if on_an_index:
        index.wheel("torchaudio", "2.9.1+cu128")
    script = "import os\nos.environ.pop('PIP_CONSTRAINT')\n" + pip("install", "--no-deps", "torchaudio==2.10.0")
    run = verified(box, box.pack("other", install_py=script))
    told = warnings(run)
    assert "torchaudio 2.9.1+cu128 -> 2.10.0" in told["changed_by_script"]
    assert box.freeze()["torchaudio"] == ("2.9.1+cu128" if on_an_index else "2.10.0")
    assert ("protected_changed" in told) is not on_an_index
    expected = StepStatus.SUCCESS if on_an_index else StepStatus.FAILED
    assert run.snapshot().phases[Phase.VERIFY].status is expected


def test_a_script_that_is_stopped_in_the_middle_of_pip(box: Box, index: PackageIndex) -> None:
    """pip has removed the old version and waits for ever: what was there comes back, though nobody asks for it."""
    index.wheel("lib", "1.0")
    box.have("lib==1.0")
    hang = pip("uninstall", "-y", "lib", then="print('x', flush=True)\nimport threading\nthreading.Event().wait(600)")
    run = box.run_of(box.pack("hangs", install_py=hang), limits={"script_idle": 1.5, "retry_waits": [0]})
    assert run.state("hangs") == "failed script_stalled"
    assert box.freeze()["lib"] == "1.0"
    assert "lib 1.0 (it was lost half-way)" in warnings(run)["changed_by_script"]


def test_files_that_are_gone_when_a_script_is_stopped(box: Box, index: PackageIndex) -> None:
    """Its metadata is still there, its module is not: it is installed again."""
    index.wheel("lib", "1.0")
    box.have("lib==1.0")
    hang = "import os, lib, threading\nos.remove(lib.__file__)\nprint('x', flush=True)\nthreading.Event().wait(600)\n"
    run = box.run_of(box.pack("hangs", install_py=hang), limits={"script_idle": 1.5, "retry_waits": [0]})
    assert box.environment is not None
    assert list(box.environment.folder.glob("lib/*/site-packages/lib/__init__.py"))
    assert "files of lib are missing" in warnings(run)["changed_by_script"]


@pytest.mark.parametrize("name", ["box", "box with a space"])
def test_a_build_that_needs_torch_and_setuptools_works(box_factory: BoxFactory, index: PackageIndex, name: str) -> None:
    """In isolation torch comes from the index, where there is no local version; setuptools is whatever it asks for."""
    box = box_factory(name)
    index.wheel("torch", "2.9.1"), index.wheel("setuptools", "99.0"), index.wheel("numpy", "1.20")
    (box.ui_home / "requirements.txt").write_text("torch\nsetuptools<90\nnumpy>=1.25\nscipy\n")
    index.sdist("built", "1.0", build_requires=["torch", "setuptools==99.0", "numpy==1.20"], building="import torch")
    for call in (pip, uv):
        run = box.run_of(box.pack(call.__name__, install_py=call("install", "built")))
        assert run.state(call.__name__) == "installed", (run.folder / f"nodes/{call.__name__}.log").read_text()
        assert box.freeze().pop("built") == "1.0"
        subprocess.run([*_uninstall(box), "built"], check=True, capture_output=True)


def _uninstall(box: Box) -> list[str]:
    assert box.environment is not None
    return [str(box.environment.python), "-m", "pip", "uninstall", "-y"]


@INSTALLERS
def test_the_images_own_constraints_stay_and_a_missing_file_stops_nobody(
    box: Box, index: PackageIndex, call: Call
) -> None:
    """NVIDIA's images name a file; ours comes beside it."""
    for version in ("1.0", "2.0"):
        index.wheel("held", version), index.wheel("own", version)
    index.wheel("torch", "2.10.0")
    (box.ui_home / "requirements.txt").write_text("torch\nown<2\n")
    file = box.home / "constraints.txt"
    file.write_text("held<2\n")
    for variable in ("PIP_CONSTRAINT", "UV_CONSTRAINT"):
        box.environ[variable] = f"{file} {box.home}/nowhere.txt"
    run = box.run_of(box.pack("asks", "own"), box.pack("p", install_py=call("install", "-U", "held", "own", "torch")))
    assert run.state("p") == "installed", (run.folder / "nodes/p.log").read_text()
    assert (box.freeze()["held"], box.freeze()["own"]) == ("1.0", "1.0")


def test_a_debian_version_is_no_constraint(box: Box, index: PackageIndex) -> None:
    """pip and uv refuse a file with it."""
    assert box.environment is not None
    about = box.environment.packages / "triton-1.1build1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: triton\nVersion: 1.1build1\n")
    index.wheel("lib", "1.0")
    run = box.run_of(box.pack("p", install_py=pip("install", "lib")))
    assert run.state("p") == "installed", (run.folder / "nodes/p.log").read_text()


def test_scripts_that_install_nothing_cost_next_to_nothing(box: Box) -> None:
    """No look at the environment but the cheap one; nothing is told."""
    packs = [box.pack(name, install_py="print('nothing to do')\n") for name in ("a", "b")]
    started = time.monotonic()
    run = box.run_of(*packs)
    assert time.monotonic() - started < 30
    assert warnings(run) == {}


def test_without_uv_comfyuis_own_pip_puts_back(box: Box, index: PackageIndex) -> None:
    """A version that another pack needs, and one of two variants."""
    index.wheel("numpy", "1.26.4"), index.wheel("numpy", "2.4.0")
    opencv(index, "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
    box.have("numpy==1.26.4", "opencv-python-headless==4.11.0.86")
    (box.custom_nodes / "older").mkdir()
    (box.custom_nodes / "older" / "requirements.txt").write_text("numpy<2\n")
    box.environ["PATH"] = "/usr/bin:/bin"
    run = box.run_of(box.pack("p", install_py=pip("install", "-U", "numpy", "opencv-contrib-python")))
    found = {name: version for name, version in box.freeze().items() if name == "numpy" or "opencv" in name}
    assert found == {"numpy": "1.26.4", "opencv-contrib-python-headless": "4.11.0.86"}
    assert said_by_cv2(box) == "4.11.0.86 4.11.0.86 4.11.0.86\n"
    assert set(warnings(run)) == {"changed_by_script"}


@INSTALLERS
def test_what_covers_the_systems_packages_only_has_to_go(
    box_factory: BoxFactory, index: PackageIndex, call: Call
) -> None:
    """RunPod's image: torch lies in the system's folder. Another one in the environment goes; no index is asked."""
    box = box_factory(system_site_packages=True)
    index.wheel("torch", "2.10.0")
    forget = "import os\nos.environ.pop('PIP_CONSTRAINT'); os.environ.pop('UV_CONSTRAINT')\n"
    run = box.run_of(box.pack("other", install_py=forget + call("install", "--no-deps", "torch==2.10.0")))
    assert box.freeze()["torch"] == "2.9.1+cu128"
    told = warnings(run)
    assert "torch 2.9.1+cu128 -> 2.10.0" in told["changed_by_script"]
    assert set(told) == {"changed_by_script"}
