"""Variants that overwrite each other, changes that a pack wants, and environments that see the system's packages."""

from __future__ import annotations

import pytest

from app.protocol.events import PackagesPlanned
from app.runner.environment.environment import Environment, Torch
from app.runner.resolve.plan import Change
from app.runner.resolve.variants import Variants, bounds_for_gpu, other_cuda
from test.plan.box import Box, plan_of, states
from test.plan.conftest import BoxFactory

pytestmark = pytest.mark.registry


def test_one_variant_of_opencv_and_of_onnxruntime(box: Box) -> None:
    """What is installed stays the one, whoever asks for another, directly or through a package."""
    for name in ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless"):
        box.index.wheel(name, "4.11.0.86", modules={"cv2/__init__.py": f"variant = {name!r}\n"})
    for name in ("onnxruntime", "onnxruntime-gpu"):
        box.index.wheel(name, "1.20.0", modules={"onnxruntime/__init__.py": f"variant = {name!r}\n"})
    box.index.wheel("looks", "1.0", ["opencv-python>=4"])
    box.have("opencv-python-headless")
    run = box.run_of(
        box.pack("plain", "opencv-python>=4.5"),
        box.pack("deep", "looks"),
        box.pack("cpu", "onnxruntime"),
        box.pack("gpu", "onnxruntime-gpu[cuda]>=1.17"),
    )
    assert set(states(run).values()) == {"installed"}, run.said()
    there = {name for name in box.freeze() if name.startswith(("opencv", "onnx"))}
    assert there == {"opencv-python-headless", "onnxruntime"}
    assert [warning.code for warning in run.snapshot().warnings].count("one_variant") == 1
    assert "onnxruntime-gpu" in (run.folder / "nodes" / "gpu.log").read_text()


def test_a_variant_that_only_packages_ask_for_gives_way_to_the_chosen_one(box: Box) -> None:
    """Nothing is installed yet: the pack's own choice is there for all."""
    for name in ("opencv-python", "opencv-python-headless"):
        box.index.wheel(name, "4.11.0.86", modules={"cv2/__init__.py": f"variant = {name!r}\n"})
    box.index.wheel("looks", "1.0", ["opencv-python>=4"])
    run = box.run_of(box.pack("direct", "opencv-python-headless"), box.pack("deep", "looks"))
    assert set(states(run).values()) == {"installed"}, run.said()
    assert {name for name in box.freeze() if name.startswith("opencv")} == {"opencv-python-headless"}


def test_changes_that_packs_want_are_made_and_marked_where_nobody_objects(box: Box) -> None:
    """One against two over a package that is not theirs alone: the two stay, the one is told of them."""
    for version in ("1.0", "2.0", "3.0"):
        box.index.wheel("shared", version)
        box.index.wheel("lonely", version)
    box.have("shared==2.0", "lonely==2.0")
    run = box.run_of(
        box.pack("down", "lonely<2"),
        box.pack("against", "shared<2"),
        box.pack("for", "shared>=3"),
        box.pack("for-too", "shared>2"),
    )
    found = states(run)
    assert found.pop("against") == "failed requirement_conflict"
    assert set(found.values()) == {"installed"}, run.said()
    assert (box.freeze()["shared"], box.freeze()["lonely"]) == ("3.0", "1.0")
    changes = {change["package"]: change for change in plan_of(run)}
    assert changes["lonely"]["downgrade"] and changes["lonely"]["old"] == "2.0"
    assert not changes["shared"]["downgrade"] and changes["shared"]["wanted_by"] == ["for", "for-too"]
    assert changes["shared"]["lane"] == "wants_change"
    told = run.snapshot().nodes["against"].error
    assert told is not None and "for (shared>=3)" in told.hint


def test_what_the_system_has_is_taken_as_it_is(box_factory: BoxFactory) -> None:
    """An environment that sees the system's torch gets no second one, and nothing else that is there already."""
    box = box_factory(system_site_packages=True)
    assert box.environment is not None
    for name in ("torch", "torchvision"):
        box.index.wheel(name, "99.0")
    box.index.wheel("needs-torch", "1.0", ["torch", "torchvision", "shared"])
    for version in ("1.0", "2.0"):
        box.index.wheel("shared", version)
    box.have("--target", str(box.environment.packages), "shared==1.0")
    run = box.run_of(box.pack("one", "needs-torch", "torch"), box.pack("two", "shared>=1"))
    assert set(states(run).values()) == {"installed"}, run.said()
    assert [change["package"] for change in plan_of(run)] == ["needs-torch"]
    own = {path.name for path in box.ui_home.glob("venv/lib/python3.*/site-packages/*.dist-info")}
    assert own == {"needs_torch-1.0.dist-info"}
    assert box.freeze()["shared"] == "1.0"
    run = box.run_of(box.pack("three", "shared>=2"))
    assert box.freeze()["shared"] == "2.0"
    assert run.told(PackagesPlanned)[0].changes[0].old == "1.0"


def cv2(box: Box, *names: str) -> None:
    for name in names:
        box.index.wheel(name, "4.11.0.86", modules={"cv2/__init__.py": f"variant = {name!r}\n"})


def variants(box: Box) -> set[str]:
    return {name for name in box.freeze() if name.startswith(("opencv", "onnx"))}


@pytest.mark.parametrize("plain", ["opencv-python-headless", "opencv-python"])
def test_contrib_takes_the_place_of_the_plain_opencv_that_is_there(box: Box, plain: str) -> None:
    """It has all that the plain one has; with a screen or without stays as it was. All files of it are there."""
    assert box.environment is not None
    wanted = plain.replace("opencv", "opencv-contrib")
    cv2(box, plain, "opencv-contrib-python", "opencv-contrib-python-headless")
    box.index.wheel("looks", "1.0", ["opencv-python>=4"])
    box.have(plain)
    run = box.run_of(box.pack("one", "opencv-contrib-python"), box.pack("two", "looks"))
    assert set(states(run).values()) == {"installed"}, run.said()
    assert variants(box) == {wanted}
    assert wanted in (box.environment.packages / "cv2" / "__init__.py").read_text()
    gone = next(change for change in plan_of(run) if change["package"] == plain)
    assert gone["change"] == "remove"


def test_a_variant_that_the_index_lacks_gives_way_to_another_that_serves(box: Box) -> None:
    """contrib was asked for, and not a headless one in that index."""
    cv2(box, "opencv-python-headless", "opencv-contrib-python")
    run = box.run_of(box.pack("one", "opencv-contrib-python"), box.pack("two", "opencv-python-headless"))
    assert set(states(run).values()) == {"installed"}, run.said()
    assert variants(box) == {"opencv-contrib-python"}


def test_two_packages_that_bring_one_module_are_told_with_both_names(box: Box) -> None:
    """By their files: no list of names knows all such pairs. What nobody imports is no news."""
    for name in ("ffmpeg-python", "python-ffmpeg"):
        files = {"ffmpeg/__init__.py": f"variant = {name!r}\n", "tests/__init__.py": f"of = {name!r}\n"}
        box.index.wheel(name, "1.0", modules=files)
    box.index.wheel("innocent", "1.0", modules={"innocent.py": "", "tests/__init__.py": "x = 1\n"})
    run = box.run_of(box.pack("one", "ffmpeg-python"), box.pack("two", "python-ffmpeg"), box.pack("three", "innocent"))
    assert set(states(run).values()) == {"installed"}, run.said()
    told = [each.message for each in run.snapshot().warnings if each.code == "modules_twice"]
    assert len(told) == 1 and told[0].startswith("ffmpeg-python and python-ffmpeg both bring the module ffmpeg,")


def test_onnxruntime_for_the_gpu_takes_the_place_of_the_other() -> None:
    """Only where there is a GPU, and in what was built for torch's CUDA."""
    with_gpu, without = Variants({"onnxruntime": "1.20"}, gpu=True), Variants({"onnxruntime": "1.20"}, gpu=False)
    for each in (with_gpu, without):
        each.decide(["onnxruntime-gpu"])
    assert "onnxruntime-gpu" in with_gpu.chosen.values() and "onnxruntime" in without.chosen.values()
    plan = with_gpu.with_removals([Change("onnxruntime-gpu", None, "1.20")])
    assert plan[1:] == [Change("onnxruntime", "1.20", None)]
    bounds = {"11.8": ["onnxruntime-gpu<1.19"], "12.8": ["onnxruntime-gpu>=1.19"]}
    for cuda, lines in bounds.items():
        assert bounds_for_gpu(Environment("python", torch=Torch("2.9", cuda, True))) == lines
    assert "uses the CPU" in other_cuda(Environment("python", torch=Torch("2.9", "13.0", True)), ["onnxruntime-gpu"])
