"""`--plan-only`: what would be cloned at which commit, which packages would change, and whether the plan is whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli.entry import cli
from app.cli.view.plan import change_line
from app.protocol.events import ManifestRead, NodeChanged, RunEnded, Warned
from app.protocol.manifest import NodePack
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, TaskState
from test.cli.scripted_service import Script, serving
from test.cli.stories import COMMIT, NOT_FOUND, Story, begun

PLANNED = Problem("plan_only", "It was only planned, as asked. Nothing was changed.")
UNKNOWN = Problem("plan_incomplete", "Only a build of foo says what it requires.")


def planned(**kinds: str) -> Story:
    """A plan: packs by their names, each `new`, `kept`, `gone` or `unknown`."""
    story = begun(list(kinds))
    for name, kind in kinds.items():
        if kind == "gone":
            story.node(name, "cloning", "failed", error=NOT_FOUND)
            continue
        story.emit(NodeChanged(name, NodeState.CLONED, commit=COMMIT, kept=kind == "kept"))
        story.emit(NodeChanged(name, NodeState.SKIPPED, UNKNOWN if kind == "unknown" else PLANNED))
    return story.emit(RunEnded(state=TaskState.COMPLETED))


def run(story: Story, *words: str, plan: list[dict[str, Any]] | None = None) -> Result:
    with serving(Script([story.shown[0], story.progress], plan=plan)) as url:
        command = ["install", "root@h", "--plan-only", *words, "--server", url]
        return CliRunner().invoke(cli, command, env={"NODEFERRY_TOKEN": ""})


def test_it_says_what_would_be_cloned_and_what_would_change() -> None:
    """0 for a whole plan; no pack is called failed or skipped."""
    plan = [{"package": "numpy", "old": "2.1", "new": "1.26", "wanted_by": ["Alpha"]}]
    result = run(planned(Alpha="new", Beta="kept"), plan=plan)
    assert result.exit_code == 0, result.output
    assert "  Alpha  would be cloned at 0123456789\n" in result.stdout
    assert "  Beta   stays as it is (0123456789)\n" in result.stdout
    assert "1 Python package would change:\n  numpy 2.1 -> 1.26 for Alpha\n" in result.stdout
    assert "failed" not in result.stdout.lower() and "kipped" not in result.stdout


def test_a_pack_of_the_registry_would_be_downloaded_in_its_version() -> None:
    story = begun([]).emit(ManifestRead("urls", (NodePack("impact", "", registry_id="impact", version="8.1.0"),)))
    story.node("impact", "cloned").emit(NodeChanged("impact", NodeState.SKIPPED, PLANNED))
    result = run(story.emit(RunEnded(state=TaskState.COMPLETED)))
    assert "  impact  would be downloaded in version 8.1.0\n" in result.stdout


def test_nothing_would_change() -> None:
    """Where all is there already, that is what is said."""
    result = run(planned(Alpha="kept", Beta="kept"))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "Nothing would change: the node packs and their Python packages are there already."
    )


@pytest.mark.parametrize(
    ("kinds", "status", "last"),
    [
        ({"Alpha": "new", "Beta": "gone"}, 3, "The plan lacks 1 of 2 node packs; nothing was changed."),
        ({"Alpha": "new", "Beta": "unknown"}, 3, "The plan lacks 1 of 2 node packs; nothing was changed."),
        ({"Alpha": "gone"}, 1, "There is no plan: none of the node packs could be planned. Nothing was changed."),
    ],
)
def test_a_plan_that_is_not_whole_says_so(kinds: dict[str, str], status: int, last: str) -> None:
    """By its sentence, by its status, and with the reason of each pack that it lacks."""
    result = run(planned(**kinds))
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (status, last)
    assert ("repository does not exist" in result.stdout) == ("gone" in kinds.values())
    assert ("Only a build of foo" in result.stdout) == ("unknown" in kinds.values())


def test_packages_that_could_not_be_planned_are_not_said_to_stay() -> None:
    """Without uv nobody knows."""
    story = planned(Alpha="new")
    assert "No Python package would change." in run(story).stdout
    story = begun(["Alpha"]).emit(Warned("uv_unavailable", "There is no uv."))
    story.emit(NodeChanged("Alpha", NodeState.SKIPPED, PLANNED)).emit(RunEnded(state=TaskState.COMPLETED))
    assert "Which Python packages would change is not known." in run(story).stdout


def test_a_program_gets_the_plan_with_the_progress() -> None:
    plan = [{"package": "b", "new": "1"}]
    assert json.loads(run(planned(Alpha="new"), "--json", plan=plan).stdout)["data"]["plan"] == plan


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"package": "b", "new": "1", "wanted_by": ["x", "y"]}, "b (new) -> 1 for x, y"),
        ({"package": "b", "old": "1"}, "b 1 -> (removed)"),
        ({"package": "b", "old": "2", "new": "1", "downgrade": True}, "b 2 -> 1 (older)"),
        (
            {"package": "b", "needs_build": True, "build": "sdist"},
            "b (new) -> (a build says it), built from a source archive",
        ),
    ],
)
def test_each_change_is_from_and_to(change: dict[str, Any], line: str) -> None:
    assert change_line(change) == line
