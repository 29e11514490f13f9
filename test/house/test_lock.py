"""requirements*.txt are what their .in files ask for, with what that needs, and a hash for every file of each."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.remote.packer import LIBRARIES
from test.house.sources import ROOT
from tools import licence_table

_EXTRAS = r"(?:\[([a-z0-9, -]+)\])?"
_LOCKED = re.compile(
    r"([a-z0-9-]+)" + _EXTRAS + r"==([^ ;\\]+)(?: ; .*?)? \\\n((?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
)
LOCKS = ("requirements", "requirements-notify", "requirements-postgresql", "requirements-dev")


def _lock(name: str) -> dict[str, str]:
    text = (ROOT / f"{name}.txt").read_text("utf-8")
    rest = re.sub(r"(?m)^ *#.*\n", "", _LOCKED.sub("", text))
    assert not rest, f"{name}.txt has lines without hashes, or others than `make lock` writes: {rest[:200]}"
    return {package: version for package, _, version, _ in _LOCKED.findall(text)}


def _extras(name: str) -> dict[str, set[str]]:
    text = (ROOT / f"{name}.txt").read_text("utf-8")
    return {package: set(extras.replace(" ", "").split(",")) for package, extras, *_ in _LOCKED.findall(text) if extras}


def _asked(path: Path) -> dict[str, tuple[str, str]]:
    """Versions and reasons of direct dependencies, by name."""
    found: dict[str, tuple[str, str]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("-r "):
            found |= _asked(path.parent / line[3:])
        elif line and not line.startswith("#"):
            pin, _, why = line.partition("  # ")
            package, _, version = re.sub(r"\[.*?\]", "", pin).partition("==")
            found[package] = (version, why)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_what_is_asked_for_and_what_that_needs(name: str) -> None:
    """As far as this Python and system are concerned, extras included: pip before 23.3 takes a hash for `package` as
    none for `package[extra]`. `make lock` writes it."""
    lock, asked, extras = _lock(name), _asked(ROOT / f"{name}.in"), _extras(name)
    assert {package: lock.get(package) for package in asked} == {key: version for key, (version, _) in asked.items()}
    missing, waiting, seen = set(), [Requirement(package) for package in asked], set()
    while waiting:
        wanted = waiting.pop()
        package = canonicalize_name(wanted.name)
        assert extras.get(package, set()) >= wanted.extras, f"{name}.txt has {package} without {wanted.extras}"
        for extra in ("", *wanted.extras):
            if (package, extra) in seen:
                continue
            seen.add((package, extra))
            if package not in lock:
                missing.add(package)
                continue
            environment = {**{key: str(value) for key, value in default_environment().items()}, "extra": extra}
            try:
                requires = metadata.requires(package) or []
            except metadata.PackageNotFoundError:  # this environment is older than the lock
                continue
            needed = [Requirement(line) for line in requires]
            waiting += [each for each in needed if each.marker is None or each.marker.evaluate(environment)]
    assert not missing


def test_all_locks_name_the_same_versions() -> None:
    *others, dev = (_lock(name) for name in LOCKS)
    for lock in others:
        assert {package: dev.get(package) for package in lock} == lock


def test_what_pip_install_reads_are_requirements() -> None:
    """setuptools reads these files when somebody installs the project. It knows comments, but no hashes."""
    dynamic = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["dynamic"]
    extras = dynamic["optional-dependencies"]
    files = [*dynamic["dependencies"]["file"], *(file for name in sorted(extras) for file in extras[name]["file"])]
    assert files == [
        "requirements.in",
        "requirements-notify.in",
        "requirements-postgresql.in",
        "requirements-templates.in",
    ]
    for file in files:
        for line in (ROOT / file).read_text("utf-8").splitlines():
            pin = line.partition("#")[0].strip()
            assert not pin or Requirement(pin).specifier


def test_every_direct_dependency_says_why() -> None:
    assert {package for package, (_, why) in _asked(ROOT / "requirements-dev.in").items() if len(why) < 3} == set()


def test_no_index_of_a_machine_stands_in_a_lock() -> None:
    """A newcomer's pip asks the index that it is told to ask."""
    for name in LOCKS:
        assert not re.search(
            r"://|--(?:extra-)?index-url|--find-links|file:", (ROOT / f"{name}.txt").read_text("utf-8")
        )


def test_the_libraries_in_the_zipapp_are_those_of_the_lock() -> None:
    lock = _lock("requirements")
    for library in LIBRARIES:
        assert metadata.version(library.distribution) == lock[canonicalize_name(library.distribution)]


def test_what_make_installs_has_hashes() -> None:
    installs = re.findall(r"\$\(PIP\) install .*", (ROOT / "Makefile").read_text("utf-8"))
    assert installs
    assert all("--require-hashes" in line for line in installs)


def test_every_package_has_a_licence_that_may_be_used() -> None:
    found = {name: licence for name, _, licence, _ in licence_table.rows() if not licence_table.ALLOWED.search(licence)}
    assert found == {}
