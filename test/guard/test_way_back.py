"""What goes back and what stays, thought through without a machine."""

from __future__ import annotations

import pytest

from app.runner.environment.environment import Distribution, Environment
from app.runner.guard.one_library import side_by_side
from app.runner.guard.required import Requirement
from app.runner.guard.way_back import way_back
from app.runner.requirements.lines import name_of


def environment(**packages: str) -> Environment:
    """Versions by name (`_` for `-`), with requirements after a `|`."""
    found = {}
    for name, text in packages.items():
        version, *requires = text.split("|")
        found[name.replace("_", "-")] = Distribution(name.replace("_", "-"), version, "/site", tuple(requires))
    return Environment("/venv/bin/python", distributions=found, markers={"python_version": "3.11"})


def asked(who: str, *lines: str) -> list[Requirement]:
    return [Requirement(who, line, name_of(line)) for line in lines]


def test_what_was_broken_before_is_no_reason_to_go_back() -> None:
    """Neither a pack's line nor an installed package's, even where the number in the sentence is another one now."""
    was = environment(lib="2.1", user="1|lib<2")
    now = environment(lib="2.2", user="1|lib<2")
    assert way_back(was, now, asked("pack", "lib<2")).back == {}


def test_it_goes_back_step_by_step_and_no_further_than_it_must() -> None:
    """a for a pack, b since its newer one needs the newer a, c for b; d is free; n is new and is told."""
    was = environment(a="1", b="1|a", c="1|b<2", d="1")
    now = environment(a="2", b="2|a>=2", c="2|b>=2", d="2", n="1|a>=2")
    found = way_back(was, now, asked("pack", "a<2"))
    assert set(found.back) == {"a", "b", "c"}
    assert found.left == ["n 1 needs a>=2, and 1 is installed"]
    assert found.back["a"] == "pack needs a<2, and 2 is installed"


def test_the_torch_family_always_goes_back() -> None:
    """Whoever needs it."""
    found = way_back(environment(torch="2.4.0+cu121", triton="3.0"), environment(torch="2.5.0"), [])
    assert set(found.back) == {"torch", "triton"}


def test_another_package_of_the_library_makes_room() -> None:
    """It was put in the place of the one that was there, and does not fit."""
    was = environment(opencv_python_headless="4.11", user="1|opencv-python<5")
    now = environment(opencv_contrib_python="5.1", user="1|opencv-python<5")
    found = way_back(was, now, [])
    assert set(found.back) == {"opencv-python-headless"}
    assert "opencv-contrib-python" in found.gone
    assert found.left == []
    fitting = environment(opencv_contrib_python="4.12", user="1|opencv-python<5")
    assert way_back(was, fitting, []).back == {}


@pytest.mark.parametrize(
    ("was", "brought", "line", "gpu", "best"),
    [
        (
            {"opencv_python_headless": "4.11"},
            {"opencv_contrib_python": "5.1"},
            "",
            False,
            "contrib-python-headless 4.11",
        ),
        ({"opencv_python_headless": "4.11"}, {"opencv_python": "4.12"}, "", False, "opencv-python-headless 4.11"),
        ({"opencv_contrib_python": "4.11"}, {"opencv_python_headless": "4.7"}, "", False, "contrib-python 4.11"),
        ({}, {"opencv_python": "4.12", "opencv_python_headless": "4.7"}, "", False, "opencv-python-headless 4.7"),
        ({}, {"opencv_python": "4.12", "opencv_python_headless": "4.7"}, "opencv-python>=4.9", False, "headless 4.12"),
        ({"onnxruntime_gpu": "1.17"}, {"onnxruntime": "1.20"}, "", False, "onnxruntime-gpu 1.17"),
        ({"onnxruntime": "1.17"}, {"onnxruntime_gpu": "1.20"}, "", False, "onnxruntime 1.17"),
        ({"onnxruntime": "1.17"}, {"onnxruntime_gpu": "1.20"}, "", True, "onnxruntime-gpu 1.17"),
    ],
)
def test_which_of_two_stays(was: dict[str, str], brought: dict[str, str], line: str, gpu: bool, best: str) -> None:
    """contrib is the superset, what has no screen gets none, and the version stays where it may."""
    required = asked("pack", line) if line else []
    (pair,) = side_by_side(environment(**was), environment(**was, **brought), required, gpu=gpu)
    assert str(pair.candidates[0]).endswith(best)


def test_two_that_were_there_before_are_left_alone() -> None:
    """No script's doing."""
    both = environment(opencv_python="4.11", opencv_contrib_python="4.11")
    assert side_by_side(both, both, [], gpu=False) == []
