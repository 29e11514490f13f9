"""Companions of torch that come through other packages: in the version that fits the torch that is kept, or not at all.
The machine's torch is 2.9.1, with its torchvision and torchaudio."""

from __future__ import annotations

import pytest

from app.runner.environment.torch_companions import as_lines, companion_bounds
from test.plan.box import Box, states
from test.runner.rig import Run

pytestmark = pytest.mark.registry


def left_out(run: Run) -> list[str]:
    """What was told of companions that did not come."""
    return [each.message for each in run.snapshot().warnings if each.code == "protected_package_left_out"]


def test_what_says_its_torch_comes_in_that_version(box: Box) -> None:
    for torch, version in (("2.9.1", "0.0.33.post2"), ("2.10.0", "0.0.34")):
        box.index.wheel("xformers", version, [f"torch=={torch}"])
    box.index.wheel("helper", "1.0", ["xformers"])
    run = box.run_of(box.pack("one", "helper"))
    assert states(run) == {"one": "installed"}, run.said()
    assert box.freeze()["xformers"] == "0.0.33.post2"


def test_what_does_not_say_its_torch_comes_in_the_version_that_fits(box: Box) -> None:
    versions = {
        "torchcodec": ("0.7.0", "0.9.1", "0.17.0"),
        "torchao": ("0.15.0", "0.18.0"),
        "triton": ("3.5.1", "3.7.0"),
    }
    for name, some in versions.items():
        for version in some:
            box.index.wheel(name, version)
    box.index.wheel("helper", "1.0", list(versions))
    run = box.run_of(box.pack("one", "helper"), box.pack("two", "torchcodec"))
    assert set(states(run).values()) == {"installed"}, run.said()
    found = box.freeze()
    assert {name: found[name] for name in versions} == {"torchcodec": "0.9.1", "torchao": "0.15.0", "triton": "3.5.1"}


def test_where_none_fits_the_package_comes_without_and_that_is_told(box: Box) -> None:
    box.index.wheel("torchcodec", "0.17.0")
    box.index.wheel("xformers", "0.0.34", ["torch==2.10.0"])
    box.index.wheel("helper", "1.0", ["torchcodec"])
    box.index.wheel("other", "1.0", ["xformers", "extra"])
    box.index.wheel("extra", "1.0")
    run = box.run_of(box.pack("one", "helper"), box.pack("two", "other"))
    assert set(states(run).values()) == {"installed"}, run.said()
    assert {"helper", "other", "extra"} <= set(box.freeze()) and not {"torchcodec", "xformers"} & set(box.freeze())
    said = " ".join(left_out(run))
    assert "torchcodec" in said and "xformers" in said and "no ready-made version fits torch 2.9.1" in said


def test_what_has_to_be_compiled_for_hours_is_not_brought_by_another_package(box: Box) -> None:
    """Whether its metadata can be had or not."""
    box.index.sdist("flash-attn", "2.8.3", broken="no nvcc")
    box.index.wheel("sageattention", "1.0.6")
    box.index.wheel("helper", "1.0", ["flash-attn", "sageattention"])
    run = box.run_of(box.pack("one", "helper"))
    assert states(run) == {"one": "installed"}, run.said()
    assert not {"flash-attn", "sageattention"} & set(box.freeze())
    assert "flash-attn" in " ".join(left_out(run))


def test_a_conflict_of_others_stays_one(box: Box) -> None:
    """Leaving a companion out helps nothing there."""
    box.index.wheel("shared", "1.0")
    box.index.wheel("xformers", "0.0.34", ["torch==2.10.0"])
    run = box.run_of(box.pack("one", "shared>=2", "helper"))
    assert states(run) == {"one": "failed requirement_not_found"}, run.said()
    assert not left_out(run)


@pytest.mark.parametrize(
    ("torch", "lines"),
    [
        ("1.13.1", "torchao<0.10 torchaudio<2.11 torchcodec<0.1 triton<3"),
        ("2.8.0+cu129", "torchao<0.14 torchaudio<2.11 torchcodec>=0.6,<0.8 triton==3.4.*"),
        ("2.9.0a0+50eac811a6.nv25.9", "torchao<0.16 torchaudio<2.11 torchcodec>=0.8,<0.10 triton==3.5.*"),
        ("2.10.0", "torchao<0.17 torchaudio<2.11 torchcodec>=0.10,<0.11 triton==3.6.*"),
        ("2.13.0+cu130", "torchcodec>=0.11"),
        ("3.0.0", ""),
        ("", ""),
    ],
)
def test_the_table(torch: str, lines: str) -> None:
    assert " ".join(as_lines(companion_bounds({"torch": torch} if torch else {}))) == lines


def test_what_is_installed_has_no_bounds() -> None:
    assert "torchcodec" not in companion_bounds({"torch": "2.9.1", "torchcodec": "0.7"})
