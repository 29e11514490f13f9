"""The engine's bench, on as little as it can be run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench.engine.__main__ import main
from bench.engine.figures import WAYS, ratios, table
from bench.engine.picture import draw
from bench.engine.results import FILE, Finding, Key, Measured, Results

SETTINGS = {"quick": True}


@pytest.mark.sshd
@pytest.mark.registry
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.alone
@pytest.mark.long
def test_it_works(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nodeferry beside the floor: both leave the same packages, only the pack that contradicts another is not good,
    and there is a table, a picture, and a file that a second call goes on from."""
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
