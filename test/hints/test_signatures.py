"""Every failure that we know gets its reason code, one sentence and a hint; what we do not know stays unknown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.protocol.snapshot import Problem
from app.runner.hints import reasons
from app.runner.hints.signatures import SIGNATURES
from app.runner.process.children import Finished

_TEXT = (Path(__file__).parent / "samples.txt").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Sample:
    code: str
    of: str
    origin: str
    text: str


def _samples() -> list[Sample]:
    parts = re.split(r"^@@ (\S+) \| ([gpsi]) \| (.+)$", _TEXT, flags=re.MULTILINE)[1:]
    return [
        Sample(code, of, origin, text.strip("\n"))
        for code, of, origin, text in zip(*(parts[start::4] for start in range(4)), strict=True)
    ]


def _problem(sample: Sample) -> Problem:
    finished = Finished(1, sample.text.encode())
    ways = {"g": reasons.of_git, "p": reasons.of_packages, "s": reasons.of_script}
    return reasons.of_import(sample.text) if sample.of == "i" else ways[sample.of](finished)


@pytest.mark.parametrize("sample", _samples(), ids=lambda sample: f"{sample.of}-{sample.code}-{sample.origin}")
def test_a_real_message_gets_its_reason_and_a_hint(sample: Sample) -> None:
    problem = _problem(sample)
    assert problem.code == sample.code, problem
    assert problem.hint
    assert "{" not in problem.message + problem.hint
    assert len(problem.message) < 600
    assert "\n" not in problem.message


def test_every_signature_has_a_sample_that_only_it_explains() -> None:
    """An entry without a sample is a guess."""
    seen = {_first(sample) for sample in _samples()}
    without = [(at, signature.code) for at, signature in enumerate(SIGNATURES) if at not in seen]
    assert not without


def test_the_table_knows_two_dozen_reasons_and_more() -> None:
    assert len({signature.code for signature in SIGNATURES}) >= 25


def test_the_module_that_is_missing_is_named() -> None:
    problem = reasons.of_import("ModuleNotFoundError: No module named 'insightface'")
    assert problem.message.startswith("The Python module insightface is not installed")


def test_the_python_that_is_wanted_is_named() -> None:
    problem = reasons.of_packages(
        Finished(1, b"ERROR: Package 'x' requires a different Python: 3.10.2 not in '>=3.12'")
    )
    assert "needs Python >=3.12; the instance has 3.10.2" in problem.message


def test_an_error_that_was_overcome_is_not_blamed() -> None:
    """Packs catch errors and print them; the exception that ended the import is the reason."""
    text = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'triton'\ngoing on without\n"
    problem = reasons.of_import(text + 'Traceback (most recent call last):\n  File "x"\nValueError: bad widget\n')
    assert problem.code == "import_failed"
    assert "ValueError: bad widget" in problem.message


def test_unknown_stays_unknown_with_the_last_lines() -> None:
    assert "nobody has seen" in reasons.of_git(Finished(128, b"fatal: what nobody has seen\n")).message
    assert reasons.of_import("").code == "import_failed"


def test_what_was_killed_says_so() -> None:
    """The kernel kills without a word of the program's."""
    assert reasons.of_script(Finished(-9, b"Downloading\n")).code == "out_of_memory"
    assert reasons.of_packages(Finished(137, b"")).code == "out_of_memory"


def _first(sample: Sample) -> int:
    """The number of the first entry that is found in the sample as it is read."""
    return next(
        (
            at
            for at, signature in enumerate(SIGNATURES)
            if sample.of in signature.of and re.search(signature.pattern, sample.text)
        ),
        -1,
    )
