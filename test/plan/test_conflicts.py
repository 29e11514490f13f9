"""Who is named as the other party of a conflict, by real uv: who really stands against the pack, and nobody else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.standin.packs import make_pack
from test.plan.box import Box
from test.runner.rig import node

pytestmark = [pytest.mark.registry, pytest.mark.slow]


def party(box: Box, others: dict[str, Sequence[str]], *loser: str, comfyui: str = "") -> str:
    """The other party in the hint of a pack that comes last."""
    for version in ("1.20", "1.26.0", "2.0.0", "2.1.0"):
        box.index.wheel("numpee", version)
    box.index.wheel("new-one", "1.0", ["numpee>=2"])
    box.index.wheel("deep", "1.0", ["new-one"])
    (box.ui_home / "requirements.txt").write_text(f"torch\n{comfyui}\n")
    packs = [box.pack(name, *lines) for name, lines in others.items()]
    run = box.run_of(*packs, node(make_pack(box.git, "owner", "loser", requirements="\n".join(loser))))
    assert run.state("loser") == "failed requirement_conflict", run.said()
    assert [run.state(name) for name in others] == ["installed"] * len(others)
    error = run.snapshot().nodes["loser"].error
    assert error is not None
    return error.hint.removeprefix("It contradicts: ").partition(". Leave one of them out")[0]


AROUND = {"bare": ["numpee"], "wide": ["numpee>=1.20"], "not-that-one": ["numpee!=2.0.0"]}
"""They name the package too, and would take either."""


@pytest.mark.parametrize(
    ("others", "loser", "comfyui", "named"),
    [
        pytest.param({"new": ["numpee>=2"]}, ["numpee<2"], "numpee>=1.20", "new (numpee>=2)", id="bounds"),
        pytest.param({"new": ["Numpee ~= 2.0"]}, ["numpee[x] < 2"], "", "new (Numpee ~= 2.0)", id="written otherwise"),
        pytest.param({}, ["numpee<2"], "numpee>=2", "ComfyUI (numpee>=2)", id="ComfyUI"),
        pytest.param({"new": ["deep"]}, ["numpee<2"], "numpee>=1.20", "new (deep)", id="through what it asks for"),
        pytest.param(
            {"old": ["numpee<2"]}, ["deep"], "numpee>=1.20", "old (numpee<2)", id="through what the pack asks for"
        ),
    ],
)
def test_only_who_really_stands_against_it_is_named(
    box: Box, others: dict[str, Sequence[str]], loser: list[str], comfyui: str, named: str
) -> None:
    """Packs that ask for the same package without bounds, or with bounds that agree, are no party."""
    assert party(box, {**AROUND, **others}, *loser, comfyui=comfyui) == named
