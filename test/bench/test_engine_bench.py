"""The engine's bench, on as little as it can be run on."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench.engine.__main__ import main
from bench.engine.figures import WAYS, ratios, table
from bench.engine.list_figures import as_json, list_ratios, list_table
from bench.engine.packs import QUICK, PackSpec
from bench.engine.picture import draw
from bench.engine.results import FILE, Finding, Key, Measured, Results

SETTINGS = {"quick": True}
LARGE = ("transformers", "opencv-python-headless", "scikit-image", "color-matcher")
"""What takes most of the time, and is one wheel among others."""


def without_large(spec: PackSpec) -> PackSpec:
    lines = tuple(line for line in spec.requirements or () if line not in LARGE)
    return dataclasses.replace(spec, requirements=lines or spec.requirements)


@pytest.mark.sshd
@pytest.mark.registry
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.long
def test_it_works(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], uv_program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodeferry beside the floor: both leave the same packages, only the pack that contradicts another is not good,
    and there is a table, a picture, and a file that a second call goes on from."""
    monkeypatch.setattr("bench.engine.__main__.QUICK", tuple(map(without_large, QUICK)))
    monkeypatch.setenv("PATH", f"{uv_program.parent}{os.pathsep}{os.environ['PATH']}")
    picture = tmp_path / "bars.svg"
    asked = ["--quick", "--ways", "a,c", "--output", str(tmp_path / "out"), "--picture", str(picture)]
    assert main(asked) == 0
    shown = capfd.readouterr().out
    troubles = [line for line in shown.splitlines() if "! " in line]
    assert len(troubles) == 1 and "bench-old-numpy" in troubles[0], shown
    assert "venv: Nodeferry and the floor leave the same" in shown, shown
    assert "venv, cold: all installed in" in shown
    assert ET.parse(picture).getroot().tag.endswith("svg")
    assert main([*asked, "--resume"]) == 0
    assert "] round" not in capfd.readouterr().out, "it measured again what it had"


@pytest.mark.sshd
@pytest.mark.registry
@pytest.mark.timeout(180)
def test_a_few_packs_of_the_real_list(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], uv_program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three ways, from the bench's own index: only the pack that needs the placeholder is not good, and packages,
    scripts and verification are told apart."""
    monkeypatch.setenv("PATH", f"{uv_program.parent}{os.pathsep}{os.environ['PATH']}")
    asked = ["--few", "--runs", "1", "--start-seconds", "0", "--output", str(tmp_path / "out"), "--no-cache-headers"]
    assert main([*asked, "--index-cache", str(tmp_path / "index")]) == 0
    shown = capfd.readouterr().out
    rows = json.loads((tmp_path / "out" / "figures.json").read_text())["rows"]
    assert [(row["way"], row["packs"]) for row in rows] == [(way, 4) for way in WAYS], shown
    assert all(row["packages"] > 0 and row["whole"] >= row["packages"] + row["scripts"] for row in rows), rows
    assert rows[WAYS.index("sequential")]["scripts"] > 0.1 and rows[0]["verify"] > 0
    assert "0 ms, cold: the whole run in" in shown, shown
    assert "venv: Nodeferry and the floor leave the same" in shown, shown


def test_ratios_of_the_list_are_of_the_medians() -> None:
    """Packages to the floor, packs to its end, the whole run to the usual script; nothing is promised with the long
    build or with warm caches."""
    every = found(10.0, 9.0, 50.0, packs_at=tuple(float(number) for number in range(1, 31)), packages_seconds=8.0)
    for runs in (every[Key("venv", "cold", way)] for way in ("floor", "sequential")):
        for number, run in runs.items():
            runs[number] = dataclasses.replace(run, packages_seconds=run.everything)
    lines = [ratio.line for ratio in list_ratios(every, 34)]
    assert lines[0] == "0 ms, cold: packages in 0.89 of the floor (8.0 of 9.0 s)   [met: at most 1.15]"
    assert "27 packs in 3.00 of the floor's end" in lines[1] and "MISSED" in lines[1]
    assert "the whole run in 0.20 of the usual script" in lines[2] and "met" in lines[2]
    assert [ratio.met for ratio in list_ratios(every, 34, long_build=True)] == [None] * 3
    assert "27.0" in list_table(every, 34)[1] and json.dumps(as_json(every, 34))


def measured(seconds: float, **fields: Any) -> Measured:
    spans = (("clones", 0.0, seconds / 2), ("install", seconds / 2, seconds))
    return Measured(everything=seconds, first_lane=fields.pop("first_lane", seconds), spans=spans, **fields)


def found(own: float, best: float, slow: float, **runner: Any) -> Finding:
    """Three rounds with cold caches; these are the medians."""
    rounds = {0: 1.0, 1: 3.0, 2: 0.5}
    runs = {
        way: {number: measured(seconds * factor, **fields) for number, factor in rounds.items()}
        for way, seconds, fields in zip(WAYS, (own, best, slow), (runner, {}, {}), strict=True)
    }
    return {Key("venv", "cold", way): each for way, each in runs.items()}


def test_the_ratios_are_of_the_medians_and_say_what_is_missed() -> None:
    """Six times the first stage, a tenth above the floor, the runner's share and size."""
    good = list(ratios(found(10.0, 9.5, 70.0, cpu_seconds=0.2, runner_seconds=10.0, peak_bytes=30_000_000)))
    assert [ratio.met for ratio in good] == [True, True, True, True]
    assert "7.00 times" in good[0].text and "1.05 of the floor" in good[1].text
    bad = list(ratios(found(10.0, 9.0, 50.0, cpu_seconds=0.4, runner_seconds=10.0, peak_bytes=61_000_000)))
    assert [ratio.met for ratio in bad] == [False, False, False, False]
    assert all("MISSED" in ratio.line for ratio in bad)
    early = list(ratios(found(10.0, 9.0, 50.0, first_lane=5.0)))
    assert early[0].met is True, "the first lane counts"


def test_what_was_measured_before_a_cut_is_kept(tmp_path: Path) -> None:
    """The half line of a killed bench is left out; without --resume it begins anew, and the old stays beside it."""
    key, run = Key("venv", "cold", "floor"), measured(3.0, packages={"numpy": "2.1.0"}, troubles=("one",))
    Results(tmp_path, SETTINGS, resume=False).add(key, 0, run)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"shape": "venv", "cac')
    again = Results(tmp_path, SETTINGS, resume=True)
    assert again.found == {key: {0: run}}
    again.add(key, 1, run)
    assert set(Results(tmp_path, SETTINGS, resume=True).found[key]) == {0, 1}
    with pytest.raises(ValueError, match="was measured with"):
        Results(tmp_path, {"quick": False}, resume=True)
    assert Results(tmp_path, SETTINGS, resume=False).found == {}
    assert (tmp_path / f"previous-{FILE}").exists()


def test_the_picture_is_xml_with_its_text_as_text() -> None:
    """Whatever was measured: one way alone, and all."""
    every = found(10.0, 9.0, 50.0, first_lane=5.0, verify=2.0)
    for some in (every, {key: runs for key, runs in every.items() if key.way == "floor"}):
        root = ET.fromstring(draw(some, 33))
        texts = "".join(root.itertext())
        assert "33 node packs" in texts and "floor: clones + one uv" in texts
    assert "MISSED: at most 1.1" in draw(every, 33)
    assert len(table(every)) == 4
