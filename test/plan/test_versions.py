"""Our reading of versions is the packaging library's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from app.runner.requirements.versions import is_older, satisfies

_NUMBERS = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
_TAILS = st.sampled_from(
    ["", "a1", "rc2", ".post1", ".dev3", "a1.dev2", ".post1.dev1", "+cu128", "+cu121", ".post1+cu128"]
)
VERSIONS = st.builds("{}{}{}".format, st.sampled_from(["", "", "1!"]), _NUMBERS, _TAILS)
CLAUSES = st.builds("{}{}".format, st.sampled_from(["==", "!=", "<=", ">=", "<", ">", "~="]), VERSIONS)
SERIES = st.builds("{}{}.*".format, st.sampled_from(["==", "!="]), _NUMBERS)


def specifiers(bounds: str) -> SpecifierSet | None:
    try:
        return SpecifierSet(bounds)
    except InvalidSpecifier:
        return None


@given(VERSIONS, st.lists(CLAUSES | SERIES, max_size=3).map(",".join))
def test_a_version_is_within_bounds_exactly_when_packaging_says_so(version: str, bounds: str) -> None:
    """Installed pre-releases count: they are there."""
    expected = specifiers(bounds)
    if expected is not None:
        assert satisfies(version, bounds) == expected.contains(version, prereleases=True)


@given(VERSIONS, VERSIONS)
def test_versions_are_in_packagings_order(one: str, other: str) -> None:
    assert is_older(one, other) == (Version(one) < Version(other))


@given(st.text(max_size=20), st.text(max_size=20))
def test_nothing_that_is_no_version_raises(version: str, bounds: str) -> None:
    satisfies(version, bounds)
    is_older(version, bounds)


@pytest.mark.parametrize(("version", "bounds"), [("2.9.1+cu128", ">=99"), ("2.1", "<2"), ("1.0", ">=0.5,!=1.0")])
def test_a_version_out_of_bounds(version: str, bounds: str) -> None:
    assert satisfies(version, bounds) is False


@pytest.mark.parametrize("bounds", ["==not.a.version", "@ file:///x", ">=1 or <2"])
def test_what_cannot_be_said_is_unknown(bounds: str) -> None:
    assert satisfies("1.0", bounds) is None
