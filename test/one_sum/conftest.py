"""Thirty runs that have ended, of every kind, and a service that has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.one_sum.drawn import Drawn, draw
from test.support.stage import Stage

RUNS = 30


@pytest.fixture(scope="package")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, list[Drawn]]]:
    """The stage and what was told on it; nothing is changed there."""
    with Stage(tmp_path_factory.mktemp("one-sum")) as stage:
        drawn = [draw(stage, seed) for seed in range(RUNS)]
        yield stage, drawn
