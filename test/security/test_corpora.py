"""Parsers of outside bytes: what was ever found is read again, and a fixed sample of what `make prove-fuzz` plays."""

from __future__ import annotations

import pytest

from bench.fuzz.judge import Parser, judged, kind_of
from bench.fuzz.parsers.table import PARSERS
from bench.fuzz.run import minimised, run

_SAMPLE = 150
"""Inputs of each parser; a second or so."""


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_what_was_found_once_is_read_as_it_must_be(name: str) -> None:
    """Each file of the corpus, the inputs to begin with and the findings: clean values or the parser's own error."""
    parser = PARSERS[name]
    assert parser.seeds()
    wrong = {data[:80]: verdict.wrong for data in parser.seeds() if (verdict := judged(parser.check, data)).wrong}
    assert wrong == {}


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_random_changes_bring_no_parser_down(name: str) -> None:
    result = run(PARSERS[name], seed=16, seconds=5, most=_SAMPLE)
    assert result.found == {}
    assert result.inputs > 20


def test_the_judge_notices() -> None:
    """An error that is not the parser's own, an input that takes for ever, and values that are not clean."""

    def check(data: bytes) -> str | None:
        if b"x" in data:
            raise KeyError("x")
        while b"y" in data:
            pass
        return "not clean" if b"z" in data else None

    said = [judged(check, data).wrong for data in (b"axa", b"aya", b"aza", b"aaa")]
    assert said == ["KeyError: 'x'", "it took more than 2 s", "not clean", None]
    result = run(Parser("broken", check, more=lambda: [b"a" * 9, b"z"]), seed=1, seconds=5, most=60)
    assert "not clean" in result.found
    assert minimised(check, b"a" * 50 + b"z" + b"a" * 50, kind_of("not clean")) == b"z"
