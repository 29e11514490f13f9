"""Versions, bounds and requirement lines: what packaging reads, and what it does not but pip, uv or Debian do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from app.runner.requirements.lines import as_constraint, as_installed, asked_by, canonical
from app.runner.requirements.versions import is_older, is_version, readable, satisfies
from app.runner.resolve.metadata_mirror import MetadataMirror
from app.runner.resolve.protection import constraints
from app.runner.resolve.resolver import frozen


@given(st.text(max_size=20), st.text(max_size=20))
def test_nothing_that_is_no_version_raises(version: str, bounds: str) -> None:
    satisfies(version, bounds)
    is_older(version, bounds)
    is_version(version)


@given(st.text(max_size=40))
def test_no_line_raises(line: str) -> None:
    asked_by(line)
    as_constraint(line)


@pytest.mark.parametrize("line", ["x ; " + "(" * 4000, "x[" + "a," * 10_000, "x" + ">=1," * 10_000, "\0", "-", ""])
def test_no_line_is_too_odd(line: str) -> None:
    asked_by(line)
    as_constraint(line)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}[A-Za-z0-9]", fullmatch=True))
def test_a_name_has_the_form_that_packaging_gives_it(name: str) -> None:
    """Ours costs no import of the library, which most runs of `status` and `follow` never need."""
    assert canonical(name) == canonicalize_name(name)


@pytest.mark.parametrize(
    ("version", "bounds", "verdict"),
    [
        ("2.9.1+cu128", ">=99", False),
        ("2.1", "<2", False),
        ("1.0", ">=0.5,!=1.0", False),
        ("2.9.1+cu128", "==2.9.1", True),
        ("2.9.1+cu128", "==2.9.1+cu126", False),
        ("2.0.0rc1", ">=1.9", True),
        ("2.0.0rc1", "<2.0", False),
        ("1.5", "", True),
        ("1.5", ">=1,", True),
        ("1.4.9", "~=1.4.2", True),
        ("1.0", "==not.a.version", None),
        ("1.0", "@ file:///x", None),
        ("1.0", ">=1 or <2", None),
        ("1.0", ">=0.5,==1.0-custom-git", None),
        ("1.0", ">=2,==1.0-custom-git", False),
        ("1.1build1", ">=1.0", None),
        ("1.1build1", "", True),
        ("1.1build1", "===1.1build1", True),
        ("1.1build1", "===1.1", False),
    ],
)
def test_a_version_and_bounds(version: str, bounds: str, verdict: bool | None) -> None:
    """An installed pre-release counts; what cannot be said is unknown, but for a clause that settles it."""
    assert satisfies(version, bounds) is verdict


@pytest.mark.parametrize(
    ("line", "name", "bounds"),
    [
        ("Some_Name", "some-name", ""),
        ("a.b >= 1.0 , <2", "a-b", "<2,>=1.0"),
        ("name[x,y]>=1", "name", ">=1"),
        ("name (>=1)", "name", ">=1"),
        ("name>=1 ; python_version < '3.12'", "name", None),
        ("name @ https://host/x.whl", "name", None),
        ("name==1.0-custom-git", "name", "==1.0-custom-git"),
        ("name>=1.0.*", "name", ">=1.0.*"),
        ("name 1.0", "name", None),
        ("-e ./folder/Thing", "thing", None),
        ("git+https://host/o/Thing.git@v1", "thing", None),
        ("https://host/thing-1.0.tar.gz", "thing", None),
        ("--extra-index-url https://host", "", None),
    ],
)
def test_what_a_line_asks_for(line: str, name: str, bounds: str | None) -> None:
    assert asked_by(line) == (name, bounds)


@pytest.mark.parametrize(
    ("line", "constraint"),
    [
        ("av[x]>=14.2", "av>=14.2"),
        ("a>=1; python_version>'3.8'", 'a>=1; python_version > "3.8"'),
        ("name @ https://host/x.whl", None),
        ("name==1.0-custom-git", None),
        ("-e ./x", None),
        ("--pre", None),
    ],
)
def test_a_constraint_is_what_a_resolver_takes_for_one(line: str, constraint: str | None) -> None:
    assert as_constraint(line) == constraint


def test_versions_in_order() -> None:
    assert is_older("1.9", "1.10")
    assert is_older("2.0rc1", "2.0")
    assert not is_older("2.0+cu128", "2.0")
    assert not is_older("1.1build1", "2.0")


def test_a_distributions_own_version_is_none_of_pep_440() -> None:
    assert is_version("2.9.1+cu128")
    assert not is_version("1.1build1")


@pytest.mark.parametrize(
    ("version", "seen"),
    [
        ("2.9.1+cu128", "2.9.1+cu128"),
        ("2.37.0-rc", "2.37.0-rc"),
        ("1.1build1", "1.1+build1"),
        ("0.1.43ubuntu1", "0.1.43+ubuntu1"),
        ("1!2.0-custom (by hand)", "1!2.0+custom.by.hand"),
        ("2.4.0+ubuntu~4", "2.4.0+ubuntu.4"),
        ("unknown", None),
        ("", None),
        ("-1", None),
    ],
)
def test_a_resolver_sees_a_version_that_it_takes(version: str, seen: str | None) -> None:
    assert readable(version) == seen
    assert seen is None or is_version(seen)


@given(st.text(max_size=20))
def test_what_a_resolver_sees_is_always_a_version(version: str) -> None:
    seen = readable(version)
    assert seen is None or is_version(seen)


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("a>=1,<2 ; python_version >= '3.8' and extra == 'x'", "a>=1,<2 ; python_version >= '3.8' and extra == 'x'"),
        ("a[x] (>=1.0.*,!=2)", "a>=1.0,!=2"),
        ("a>dev,<3", "a<3"),
        ("a==1.0-custom", "a"),
        ('a ; python_version >= "2.7" or', ""),
        ("; nothing", ""),
        ("-e .", ""),
        ("here @ https://host/here.whl", "here"),
        ("elsewhere @ git+https://host/elsewhere.git", ""),
    ],
)
def test_what_an_installed_package_requires_is_told_so_that_uv_takes_it(line: str, seen: str) -> None:
    assert as_installed(line, {"here", "a"}) == seen


@given(st.text(max_size=40))
def test_nothing_that_an_installed_package_requires_raises(line: str) -> None:
    as_installed(line, frozenset())


def test_uv_gets_no_version_that_it_would_stumble_over(tmp_path: Path) -> None:
    """One package of Debian's would make every plan fail: the mirror and the constraints have it as uv reads it."""
    site = tmp_path / "site"
    versions = {"odd": "1.1build1", "good": "1.0+local", "torch": "2.1-own", "none": "unknown"}
    for name, version in versions.items():
        about = site / f"{name}-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    mirror = MetadataMirror(tmp_path / "mirror", [str(site)])
    assert mirror.look() == versions
    with mirror.lent() as seen:
        names = sorted(path.name for path in seen.iterdir())
    assert names == ["good-1.0+local.dist-info", "odd-1.1+build1.dist-info", "torch-2.1+own.dist-info"]
    assert mirror.unseen.read_text() == "none ; sys_platform == 'never'\n"
    assert frozen(versions) == ["good==1.0+local", "odd==1.1+build1", "torch==2.1+own"]
    assert constraints(versions, tmp_path)[0] == "torch==2.1+own"
