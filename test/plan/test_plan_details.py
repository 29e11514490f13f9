"""Who wants a package, through what, and how large it is: told before anything changes, where uv can say it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.protocol.events import PackagesPlanned, PackagesProgress
from app.runner.resolve.plan import Change, Details, Plan
from app.runner.resolve.plan_details import owners, parents, sizes_of, stays
from test.plan.box import Box, plan_of, states
from test.plan.conftest import BoxFactory
from test.support.package_index import PackageIndex

ANNOTATED = """\
accelerate==1.15.0
    # via -r /root/.local/state/requirements/one.txt
numpy==1.26.4
    # via
    #   -c /root/details/pins.txt
    #   -r /root/.local/state/requirements/three,too.txt
    #   accelerate
    #   Scipy.Tools
round-a @ http://127.0.0.1:1/round_a-1.0-py3-none-any.whl
    # via round-b
round-b==1.0
    # via
    #   -r requirements/one.txt
    #   round-a
scipy-tools==1.0
    # via -r requirements/two.txt
"""
LOCK = """\
lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "aiohttp"
version = "3.14.5"
sdist = { url = "http://i/aiohttp-3.14.5.tar.gz", upload-time = 2026-10-11T01:05:08Z, size = 1, hashes = {} }
wheels = [
    { url = "http://i/aiohttp-3.14.5-cp311-cp311-manylinux2014_x86_64.whl", size = 1929915, hashes = { sha256 = "5" } },
    { name = "aiohttp-3.14.5-py3-none-any.whl", url = "http://i/4711", size = 279517, hashes = { sha256 = "e" } },
]

[[packages]]
name = "docopt"
version = "0.6.2"
sdist = { url = "http://i/docopt-0.6.2.tar.gz", size = 25901, hashes = { sha256 = "4" } }

[[packages]]
name = "unsaid"
version = "1.0"
wheels = [{ url = "http://i/unsaid-1.0-py3-none-any.whl", hashes = { sha256 = "4" } }]
"""


def test_a_package_is_wanted_by_the_packs_behind_what_asks_for_it() -> None:
    """Through several packages and round in a ring; what is only a constraint asks for nothing."""
    packs = {"one.txt": "One", "two.txt": "Two", "three,too.txt": "Three"}
    assert owners(parents(ANNOTATED), packs) == {
        "accelerate": {"One"},
        "numpy": {"One", "Two", "Three"},
        "round-a": {"One"},
        "round-b": {"One"},
        "scipy-tools": {"Two"},
    }
    assert parents("") == {} and owners({}, packs) == {}


def test_a_package_is_as_large_as_the_file_that_uv_selects() -> None:
    """One of several files counts only where uv says which one; a size that the index does not say is not known."""
    selecting = "DEBUG Selecting: aiohttp==3.14.5 [compatible] (aiohttp-3.14.5-py3-none-any.whl)\n"
    assert sizes_of(LOCK, selecting) == {"aiohttp": 279517, "docopt": 25901}
    other = "DEBUG Selecting: aiohttp==3.14.5 [compatible] (aiohttp-3.14.5-cp311-cp311-manylinux2014_x86_64.whl)\n"
    assert sizes_of(LOCK, other)["aiohttp"] == 1929915
    assert sizes_of(LOCK, "") == {"docopt": 25901}
    assert sizes_of("not a lock", selecting) == {}


def test_what_is_not_known_is_null_and_nobody() -> None:
    """No size is no zero."""
    [told] = Plan("agrees", [], [Change("numpy", "2.1.0", "1.26.4")]).described(Details())
    assert (told.bytes, told.wanted_by, told.downgrade) == (None, (), True)


def test_only_what_is_installed_and_stays_is_out_of_sight() -> None:
    """What an interrupted pip left behind is no package's name."""
    unseen = stays(["numpy", "pillow", "-orch", "we.ird name"], [Change("NumPy", "2.1.0", "1.26.4")])
    assert unseen == ["pillow ; sys_platform == 'never'"]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    """An index that says sizes."""
    with PackageIndex(tmp_path / "index", sizes=True) as index:
        yield index


def size_of(index: PackageIndex, package: str, file: str) -> int:
    return (index.folder / "simple" / package / file).stat().st_size


def by_name(changes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {change["package"]: change for change in changes}


@pytest.mark.registry
def test_the_journal_tells_both_before_anything_changes(box: Box) -> None:
    """What comes along is wanted by the packs that it comes along for; each has its file's size, fetched or not."""
    box.index.wheel("alpha", "1.0", ["beta>=1", "torch", "stays"])
    box.index.wheel("beta", "1.5", ["gamma"])
    box.index.wheel("gamma", "1.0")
    box.index.wheel("stays", "1.0")
    box.have("stays")
    run = box.run_of(box.pack("one", "alpha"), box.pack("two", "beta", "torch>=2"), box.pack("three", "gamma"))
    assert set(states(run).values()) == {"installed"}, run.said()
    told = by_name(plan_of(run))
    assert {name: change["wanted_by"] for name, change in told.items()} == {
        "alpha": ["one"],
        "beta": ["one", "two"],
        "gamma": ["one", "two", "three"],
    }
    sizes = {name: size_of(box.index, name, f"{name}-{told[name]['new']}-py3-none-any.whl") for name in told}
    assert {name: change["bytes"] for name, change in told.items()} == sizes
    kinds = [type(event.body) for event in run.events()]
    assert kinds.index(PackagesPlanned) < kinds.index(PackagesProgress)


@pytest.mark.registry
def test_every_lane_has_its_details(box: Box) -> None:
    """A downgrade is for the pack that causes it, a build counts with its source, an address has no size."""
    for version in ("1.0", "2.0"):
        box.index.wheel("shared", version, ["below"])
    box.index.wheel("below", "1.0")
    address = box.index.wheel("direct", "1.0", ["below"])
    box.index.sdist("made", "1.0", ["below", "new-one"])
    box.index.wheel("new-one", "1.0")
    box.have("shared==2.0")
    run = box.run_of(
        box.pack("down", "shared<2"), box.pack("builds", "made"), box.pack("by-address", f"direct @ {address}")
    )
    assert set(states(run).values()) == {"installed"}, run.said()
    told = by_name(plan_of(run))
    assert (told["shared"]["wanted_by"], told["shared"]["downgrade"]) == (["down"], True)
    assert (told["made"]["wanted_by"], told["new-one"]["wanted_by"]) == (["builds"], ["builds"])
    assert told["made"]["bytes"] == size_of(box.index, "made", "made-1.0.tar.gz")
    assert told["direct"]["bytes"] is None
    assert told["below"]["bytes"] == size_of(box.index, "below", "below-1.0-py3-none-any.whl")


@pytest.mark.registry
def test_an_environment_that_sees_the_systems_packages_has_them_too(box_factory: BoxFactory) -> None:
    """uv does not see what the system has, torch first of all."""
    box = box_factory(system_site_packages=True)
    box.index.wheel("alpha", "1.0", ["beta", "torch"])
    box.index.wheel("beta", "1.0")
    run = box.run_of(box.pack("one", "alpha"), box.pack("two", "torch"), box.pack("three", "beta"))
    told = by_name(plan_of(run))
    assert told["beta"]["wanted_by"] == ["one", "three"], run.said()
    assert set(told) == {"alpha", "beta"}
    assert all(change["bytes"] for change in told.values())


@pytest.mark.registry
@pytest.mark.parametrize("does", ["exit 2", "exec tail -f /dev/null"])
def test_a_uv_that_does_not_say_it_costs_no_install(box: Box, tmp_path: Path, does: str) -> None:
    """One that cannot, and one that hangs: the plan is told without within seconds, and carried out."""
    program = tmp_path / "odd-uv" / "uv"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncase " $* " in *" compile "*) {does};; esac\nexec {box.uv} "$@"\n')
    program.chmod(0o755)
    box.environ["PATH"] = f"{program.parent}:/usr/bin:/bin"
    box.index.wheel("alpha", "1.0", ["beta"])
    box.index.wheel("beta", "1.0")
    began = time.monotonic()
    run = box.run_of(box.pack("one", "alpha"), box.pack("two", "alpha"))
    assert time.monotonic() - began < 20
    assert set(states(run).values()) == {"installed"}, run.said()
    told = by_name(plan_of(run))
    assert (told["alpha"]["wanted_by"], told["beta"]["wanted_by"]) == (["one", "two"], [])
    assert [change["bytes"] for change in told.values()] == [None, None]
