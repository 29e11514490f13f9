"""What users are told when something goes wrong, on real git, uv, pip and sshd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.faults.case import Scenario
from bench.faults.cases import SCENARIOS, make_shared
from bench.faults.recorded import recorded_rows
from bench.faults.rollback import play_rollback
from bench.faults.row import Row
from bench.faults.table import play
from test.conftest import MakeOnce

REAL = [pytest.mark.sshd, pytest.mark.registry, pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="session")
def caches(make_once: MakeOnce) -> Path:
    """What the scenarios share: packages, environments, the package that cannot be built."""
    return make_once("fault-caches", make_shared)


def wrong_in(rows: list[Row]) -> list[str]:
    assert rows
    return [f"{row.case}: {text}" for row in rows for text in row.wrong]


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(scenario, marks=REAL, id=scenario.title.replace(" ", "-")) for scenario in SCENARIOS],
)
def test_each_pack_ends_with_its_reason_and_the_others_end_well(
    scenario: Scenario, tmp_path: Path, uv_program: Path, caches: Path
) -> None:
    """State, reason and hint as listed, and no other; verified is what ComfyUI says when it is asked again; the torch
    family is what it was."""
    if scenario.mount and os.geteuid() != 0:
        pytest.skip("mounting needs root")
    assert not wrong_in(play(scenario, tmp_path / "play", uv_program, caches))


@pytest.mark.sshd
@pytest.mark.registry
@pytest.mark.slow
@pytest.mark.long
def test_a_half_applied_run_is_rolled_back(tmp_path: Path, uv_program: Path, caches: Path) -> None:
    """Cancelled and killed: what is installed and every commit are what they were before."""
    assert not wrong_in(play_rollback(tmp_path / "play", uv_program, caches))


def test_recorded_messages_get_their_reason() -> None:
    """What no machine has at will: a quota."""
    assert not wrong_in(recorded_rows())


def test_the_table_has_every_case_once_and_each_says_what_to_do() -> None:
    """Titles tell rows apart; an expected reason comes with words of its hint."""
    for scenario in SCENARIOS:
        titles = [fault.title for fault in scenario.faults]
        assert len(set(titles)) == len(titles)
    expected = [each.expected for scenario in SCENARIOS for each in scenario.faults]
    expected += [end for scenario in SCENARIOS for end in (scenario.plain, scenario.needy, scenario.run)]
    assert [end for end in expected if bool(end.code) != bool(end.hint)] == []
    assert len({fault.title for scenario in SCENARIOS for fault in scenario.faults}) >= 50
