"""What users are told when something goes wrong, on real git, uv, pip and sshd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.engine.machine import get_uv
from bench.faults.cases import SCENARIOS, Scenario, make_broken_sdist
from bench.faults.table import play

pytestmark = [pytest.mark.sshd, pytest.mark.registry, pytest.mark.slow]


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the scenarios share: packages, environments, the package that cannot be built."""
    folder = tmp_path_factory.mktemp("fault-caches")
    make_broken_sdist(folder)
    return folder


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A uv for the instances."""
    return get_uv(tmp_path_factory.mktemp("fault-uv") / "uv")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title.replace(" ", "-"))
def test_each_pack_ends_with_its_reason_and_the_others_end_well(
    scenario: Scenario, tmp_path: Path, uv: Path, caches: Path
) -> None:
    """State, reason and hint as listed; what is called good can be imported; the torch family is what it was."""
    if scenario.mount and os.geteuid() != 0:
        pytest.skip("mounting needs root")
    wrong = [f"{row.case}: {text}" for row in play(scenario, tmp_path / "play", uv, caches) for text in row.wrong]
    assert not wrong
