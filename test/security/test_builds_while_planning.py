"""A plan runs no code of packages, and says what an install would build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.standin.packs import make_pack
from test.plan.box import Box, plan_of, states
from test.plan.conftest import box, box_factory, index
from test.runner.rig import Run
from test.support.canary_packages import Canaries

__all__ = ["box", "box_factory", "index"]  # fixtures
pytestmark = pytest.mark.registry
PLAN = {"plan_only": True}


@pytest.fixture
def canaries(tmp_path: Path) -> Canaries:
    """Packages that tell when they run."""
    return Canaries(tmp_path / "canaries")


def builds_of(run: Run) -> dict[str, tuple[Any, ...]]:
    """What the plan says of builds: version, kind, where it is from, and for whom."""
    return {
        each["package"]: (each["new"], each["build"], each["build_from"], each["wanted_by"])
        for each in plan_of(run)
        if each["needs_build"]
    }


def of_sdist(box: Box, canaries: Canaries) -> tuple[dict[str, Any], tuple[str, str | None]]:
    box.index.file("evil", "evil-1.0.tar.gz", canaries.archive("evil"))
    return box.pack("bad", "evil", "good"), ("sdist", None)


def of_newer_sdist(box: Box, canaries: Canaries) -> tuple[dict[str, Any], tuple[str, str | None]]:
    """An install would take it rather than the older wheel."""
    box.index.wheel("evil", "0.5")
    return of_sdist(box, canaries)


def of_somebody_elses(box: Box, canaries: Canaries) -> tuple[dict[str, Any], tuple[str, str | None]]:
    """No line of the pack names it."""
    box.index.file("evil", "evil-1.0.tar.gz", canaries.archive("evil"))
    box.index.wheel("between", "1.0", ["evil"])
    return box.pack("bad", "between", "good"), ("sdist", None)


def of_archive(box: Box, canaries: Canaries) -> tuple[dict[str, Any], tuple[str, str | None]]:
    url = box.index.file("elsewhere", "evil-1.0.tar.gz", canaries.archive("evil"))
    return box.pack("bad", f"evil @ {url}", "good"), ("archive", url)


def of_repository(box: Box, canaries: Canaries) -> tuple[dict[str, Any], tuple[str, str | None]]:
    made = make_pack(box.git, "lib", "evil", files=canaries.source("evil"))
    return box.pack("bad", f"evil @ git+{made.url}", "good"), ("repository", f"git+{made.url}")


def of_nameless_repository(box: Box, canaries: Canaries) -> tuple[dict[str, Any], tuple[str, str | None]]:
    made = make_pack(box.git, "lib", "evil", files=canaries.source("evil"))
    return box.pack("bad", f"git+{made.url}", "good"), ("repository", f"git+{made.url}")


def of_folder(box: Box, canaries: Canaries) -> tuple[dict[str, Any], tuple[str, str | None]]:
    files = {f"evil/{name}": text for name, text in canaries.source("evil").items()}
    return box.pack("bad", "./evil", "good", files=files), ("folder", "./evil")


def of_editable(box: Box, canaries: Canaries) -> tuple[dict[str, Any], tuple[str, str | None]]:
    """uv builds these though it is told to build nothing."""
    files = {f"evil/{name}": text for name, text in canaries.source("evil").items()}
    return box.pack("bad", "-e ./evil", "good", files=files), ("editable", "./evil")


KINDS = [
    of_sdist,
    of_newer_sdist,
    of_somebody_elses,
    of_archive,
    of_repository,
    of_nameless_repository,
    of_folder,
    of_editable,
]


@pytest.mark.parametrize("kind", KINDS, ids=[each.__name__.removeprefix("of_") for each in KINDS])
def test_nothing_is_built(box: Box, canaries: Canaries, kind: Callable[..., Any]) -> None:
    """The pack is not failed, and everything else is planned."""
    box.index.wheel("good", "1.0")
    bad, (what, source) = kind(box, canaries)
    run = box.run_of(bad, box.pack("other", "good"), options=PLAN)
    assert canaries.ran == set(), run.said()
    assert states(run) == {"bad": "skipped plan_incomplete", "other": "skipped plan_only"}, run.said()
    built = builds_of(run)
    assert set(built) == {"evil"}, run.said()
    assert built["evil"][:2] == (None, what), built
    assert built["evil"][3] == ["bad"], built
    if source is not None:
        assert built["evil"][2] == source
    assert [each["new"] for each in plan_of(run) if each["package"] == "good"] == ["1.0"]
