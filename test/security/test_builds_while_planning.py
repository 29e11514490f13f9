"""A plan runs no code of packages, and says what an install would build."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from app.protocol.snapshot import PlannedChange
from app.standin.packs import make_pack
from app.sync.workflows.steps import _plan_question
from test.plan.box import Box, plan_of, states
from test.plan.conftest import box, box_factory, index
from test.runner.rig import Run
from test.support.canary_packages import Canaries
from test.support.package_index import PackageIndex, source_tree

__all__ = ["box", "box_factory", "index"]  # fixtures
pytestmark = pytest.mark.registry
PLAN = {"plan_only": True}
BUILT = {**PLAN, "build_for_plan": True}
SECRETS = {
    "HF_TOKEN": "hf_0123456789abcdefghij",
    "GITHUB_TOKEN": "ghp_0123456789abcdefghij",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-aws",
    "SSH_AUTH_SOCK": "/nowhere/agent-s3cr3t",
    "GIT_ASKPASS": "/nowhere/askpass-s3cr3t",
    "GIT_CONFIG_PARAMETERS": "'credential.helper=s3cr3t-helper'",
    "UV_INDEX_OWN_PASSWORD": "s3cr3t-of-an-index",
    "PIP_INDEX_URL": "http://user:s3cr3t-of-pip@127.0.0.1:9/simple",
    "no_proxy": "127.0.0.1",
    "https_proxy": "http://user:s3cr3t-of-a-proxy@127.0.0.1:9",
    "NETRC": "/nowhere/netrc-s3cr3t",
}


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


def below(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


def test_nothing_is_built(box: Box, canaries: Canaries) -> None:
    """A source archive, one that is newer than the wheel, somebody else's, an archive and a repository by address, a
    folder, and an editable one, which uv builds though it is told to build nothing. No pack is failed, and all else is
    planned."""
    for name in ("good", "between"):
        box.index.wheel(name, "1.0", ["evil-far"] if name == "between" else [])
    box.index.wheel("evil-newer", "0.5")
    for name in ("evil-sdist", "evil-newer", "evil-far"):
        box.index.file(name, f"{name.replace('-', '_')}-1.0.tar.gz", canaries.archive(name))
    archive = box.index.file("elsewhere", "evil-url-1.0.tar.gz", canaries.archive("evil-url"))
    repository, nameless = (make_pack(box.git, "lib", name, files=canaries.source(name)).url for name in ("v1", "v2"))
    folder, editable = below("evil", canaries.source("evil")), below("edited", canaries.source("edited"))
    run = box.run_of(
        box.pack("sdist", "evil-sdist", "good"),
        box.pack("newer", "evil-newer", "good"),
        box.pack("far", "between", "good"),
        box.pack("archive", f"evil-url @ {archive}", "good"),
        box.pack("vcs", f"v1 @ git+{repository}", "good"),
        box.pack("nameless", f"git+{nameless}", "good"),
        box.pack("folder", "./evil", "good", files=folder),
        box.pack("editable", "-e ./edited", "good", files=editable),
        box.pack("other", "good"),
        options=PLAN,
    )
    assert canaries.ran == set(), run.said()
    names = ("sdist", "newer", "far", "archive", "vcs", "nameless", "folder", "editable")
    assert states(run) == {**dict.fromkeys(names, "skipped plan_incomplete"), "other": "skipped plan_only"}, run.said()
    assert builds_of(run) == {
        "evil-sdist": (None, "sdist", None, ["sdist"]),
        "evil-newer": (None, "sdist", None, ["newer"]),
        "evil-far": (None, "sdist", None, ["far"]),
        "evil-url": (None, "archive", archive, ["archive"]),
        "v1": (None, "repository", f"git+{repository}", ["vcs"]),
        "v2": (None, "repository", f"git+{nameless}", ["nameless"]),
        "evil": (None, "folder", "./evil", ["folder"]),
        "edited": (None, "editable", "./edited", ["editable"]),
    }
    planned = {each["package"]: each["new"] for each in plan_of(run)}
    assert (planned["good"], planned["between"]) == ("1.0", "1.0")


def test_what_says_of_itself_what_it_requires_is_planned(box: Box, tmp_path: Path) -> None:
    """And that an install builds it."""
    mark = f"open({str(tmp_path / 'ran')!r}, 'w')"
    box.index.wheel("needed", "2.0")
    box.index.sdist("static", "1.5", ["needed"], building=mark)
    made = make_pack(box.git, "lib", "kept", files=source_tree("kept", "3.0", ["needed"], building=mark))
    run = box.run_of(box.pack("one", "static"), box.pack("two", f"kept @ git+{made.url}"), options=PLAN)
    assert states(run) == dict.fromkeys(("one", "two"), "skipped plan_only"), run.said()
    built = builds_of(run)
    assert built["static"] == ("1.5", "sdist", None, ["one"])
    assert built["kept"][1:] == ("repository", f"git+{made.url}@{made.commits[-1]}", ["two"])
    assert {each["new"] for each in plan_of(run) if each["package"] == "needed"} == {"2.0"}
    assert not (tmp_path / "ran").exists()


def test_a_build_that_was_asked_for_gets_no_credentials(box: Box, canaries: Canaries) -> None:
    """Its plan is complete, and nothing in its environment is a secret."""
    box.environ |= SECRETS
    box.index.wheel("needed", "2.0")
    box.index.file("dynamic", "dynamic-1.0.tar.gz", canaries.archive("dynamic", requires=["needed"]))
    made = make_pack(box.git, "lib", "vcs", files=canaries.source("vcs", "4.0"))
    folder = below("own", canaries.source("own"))
    packs = [box.pack("one", "dynamic"), box.pack("two", f"git+{made.url}"), box.pack("three", "./own", files=folder)]
    run = box.run_of(*packs, options=BUILT)
    assert states(run) == dict.fromkeys(("one", "two", "three"), "skipped plan_only"), run.said()
    assert canaries.ran == {"dynamic", "vcs", "own"}
    assert (builds_of(run)["dynamic"], {each["new"] for each in plan_of(run) if each["package"] == "needed"}) == (
        ("1.0", "sdist", None, ["one"]),
        {"2.0"},
    )
    for note in canaries.notes:
        environ = note["environ"]
        assert "s3cr3t" not in str(environ) and "0123456789" not in str(environ), environ
        assert environ["HOME"] != str(box.home)
        assert os.listdir(environ["HOME"]) == [] and "PYTHONHOME" not in environ


def test_an_index_with_a_login_is_planned_with_it_and_built_from_without(
    box: Box, canaries: Canaries, tmp_path: Path
) -> None:
    """The login is for uv alone, which has fetched the archive before anything of it runs."""
    with PackageIndex(tmp_path / "private", login="user:s3cr3t") as private:
        box.environ["UV_DEFAULT_INDEX"] = private.url
        private.wheel("good", "1.0")
        private.file("dynamic", "dynamic-1.0.tar.gz", canaries.archive("dynamic"))
        run = box.run_of(box.pack("one", "good"), box.pack("two", "dynamic"), options=BUILT)
    assert states(run) == dict.fromkeys(("one", "two"), "skipped plan_only"), run.said()
    assert {note["environ"]["UV_DEFAULT_INDEX"] for note in canaries.notes} == {private.url.replace("user:s3cr3t@", "")}
    assert "s3cr3t" not in str(canaries.notes)


@pytest.mark.parametrize("how", ["env -u PYTHONHOME ", "PYTHONHOME= "])
def test_a_uv_that_would_run_code_is_not_asked(box: Box, canaries: Canaries, how: str, tmp_path: Path) -> None:
    """It is tried on a package of our own first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "uv").write_text(
        f'#!/bin/sh\n{how}exec {box.uv} "$@"\n'.replace("env -u PYTHONHOME exec", "exec env -u PYTHONHOME")
    )
    (folder / "uv").chmod(0o755)
    box.environ["PATH"] = f"{folder}:/usr/bin:/bin"
    box.index.file("dynamic", "dynamic-1.0.tar.gz", canaries.archive("dynamic"))
    run = box.run_of(box.pack("one", "dynamic"), box.pack("bare"), options=PLAN)
    assert canaries.ran == set()
    assert states(run) == {"one": "skipped plan_incomplete", "bare": "skipped plan_only"}, run.said()
    assert "plan_unavailable" in {warning["code"] for warning in map(vars, run.snapshot().warnings)}


def test_an_install_builds_what_its_plan_named(box: Box, canaries: Canaries) -> None:
    """It was agreed to by its start."""
    box.index.file("dynamic", "dynamic-1.0.tar.gz", canaries.archive("dynamic"))
    pack = box.pack("one", "dynamic")
    assert states(box.run_of(pack, options=PLAN)) == {"one": "skipped plan_incomplete"}
    run = box.run_of(pack)
    assert states(run) == {"one": "installed"}, run.said()
    assert (canaries.ran, box.freeze()["dynamic"]) == ({"dynamic"}, "1.0")


def test_a_planning_run_installs_no_system_package_and_runs_no_helper(box: Box, canaries: Canaries) -> None:
    """Its options may say otherwise, for the install."""
    box.index.file("dynamic", "dynamic-1.0.tar.gz", canaries.archive("dynamic"))
    pack = box.pack("one", "dynamic", install_py="raise SystemExit(1)\n")
    run = box.run_of(pack, options={**PLAN, "system_packages": "install"})
    assert states(run) == {"one": "skipped plan_incomplete"}, run.said()
    assert canaries.ran == set()


def test_a_workflows_question_says_what_would_run() -> None:
    plan = [
        PlannedChange("numpy", "2.1", "1.26", change="change", downgrade=True),
        PlannedChange(
            "evil", change="add", wanted_by=("Pack",), needs_build=True, build="repository", build_from="git+u"
        ),
        PlannedChange("static", None, "1.0", change="add", needs_build=True, build="sdist"),
    ]
    question = _plan_question(plan, plan[:2])
    assert question.text == (
        "1 packages would be added and 1 changed, 1 to an older version. An install would run the code of 2 packages "
        "to build them: evil (the repository git+u), static (a source archive). Nothing was built for this plan, so "
        "that it is not complete for: Pack."
    )
