"""Builds on the command line: a line for each that runs, one for each end, and `tasks skip`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.entry import cli
from app.cli.view import line_output
from app.cli.view.live_view import BUILD_LINES, LiveView, build_forms
from app.protocol.events import BuildChanged, Event, SkipRequested, Source
from app.protocol.reducer import reduce
from app.protocol.states import BuildState
from app.runner.standalone.progress_lines import lines_of
from test.cli.scripted_service import Answer, Script, serving
from test.cli.stories import TASK_ID, Story, begun, ended
from test.cli.test_live_view import drawn

BUILD = {"package": "foo", "version": "1.2", "state": "running", "packs": ["A", "B", "C"], "detail": "[12/80] x.cu"}


def build(package: str, state: str, **fields: Any) -> BuildChanged:
    return BuildChanged(package, "1.2", BuildState(state), ("A", "B", "C"), **fields)


def test_a_line_says_what_is_built_for_whom_how_long_and_how_far() -> None:
    """The time goes on between polls."""
    assert build_forms({**BUILD, "seconds": 240.0}, 5.0)[0] == "building foo 1.2 for 3 packs, 04:05, [12/80] x.cu"
    assert build_forms({**BUILD, "packs": ["A"], "detail": None, "seconds": None})[0] == "building foo 1.2 for 1 pack"
    assert build_forms({**BUILD, "skip_requested": True})[0].endswith("x.cu, is being skipped")


def test_the_picture_has_a_line_for_each_running_build() -> None:
    """Between the task list and the packs; those that wait or have ended have none, and escape sequences do nothing."""
    story = begun().emit(build("foo", "running", detail="[12/80] x\x1b[2J"))
    story.emit(build("bar", "running")).emit(build("baz", "waiting")).emit(build("old", "done"))
    story.emit(SkipRequested("bar"), Source.SERVICE)
    lines = drawn(LiveView(story.progress), width=120).splitlines()
    shown = [line.strip() for line in lines if line.startswith("building ")]
    assert shown[0].startswith("building foo 1.2 for 3 packs, 00:0")
    assert "[12/80] x?[2J" in shown[0]
    assert shown[1].endswith("is being skipped")
    assert len(shown) == 2


@pytest.mark.parametrize("height", [8, 10, 12, 24])
def test_builds_do_not_make_it_higher_than_the_terminal(height: int) -> None:
    """There are never more lines of them than the runner works on at a time."""
    story = begun([f"pack{number}" for number in range(30)])
    for number in range(BUILD_LINES + 3):
        story.emit(build(f"p{number}", "running", detail="d" * 200))
    text = drawn(LiveView(story.progress), width=80, height=height)
    assert len(text.rstrip("\n").splitlines()) < height
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def lines_of_story(story: Story) -> list[str]:
    before: dict[str, Any] | None = None
    lines: list[str] = []
    for progress in story.shown:
        lines += line_output.changes(before, progress)
        before = progress
    return [line.split("%  ", 1)[1] for line in lines]


def test_lines_tell_a_build_s_begin_and_end_once() -> None:
    """How far it is is no line of its own."""
    story = begun().emit(build("foo", "waiting")).emit(build("foo", "running", detail="[1/2] a"))
    story.emit(build("foo", "running", detail="[2/2] b")).emit(build("foo", "failed", seconds=61.0))
    texts = [text for text in lines_of_story(story) if "foo" in text and ";" not in text]
    assert texts == ["building foo 1.2 for 3 packs, [1/2] a", "foo 1.2: build failed: 01:01"]


def test_by_hand_they_are_told_too() -> None:
    """The same, in the runner's own lines."""
    story, texts = begun(), []
    for number, body in enumerate(
        [build("foo", "waiting"), build("foo", "running"), build("foo", "running"), build("foo", "done", seconds=61.0)]
    ):
        event = Event(body, 100 + number, story.now, story.now)
        after = reduce(story.snapshot, event, story.now)
        texts += [line.split("  ", 1)[1] for line in lines_of(event, story.snapshot, after)]
        story.snapshot = after
    assert texts == ["build of foo 1.2: running: A, B, C", "build of foo 1.2: done: 01:01"]


@dataclass
class Skipping(Script):
    """A service that takes skips too."""

    refusal: Answer | None = None

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        """What this request is answered."""
        if path == f"/tasks/{TASK_ID}/skip":
            return self.refusal or (
                202,
                {"success": True, "task_id": TASK_ID, "build": {**BUILD, "packs": ["A\x1b", "B"]}},
            )
        return super().answer(method, path, body)


def skip(script: Script, package: str) -> tuple[int, str]:
    with serving(script) as url:
        result = CliRunner().invoke(cli, ["tasks", "skip", TASK_ID, package, "--server", url])
    return result.exit_code, result.output


def test_a_skip_names_what_goes_without() -> None:
    """What it sends, and what it says."""
    script = Skipping([ended("all").progress])
    assert skip(script, "foo") == (0, "The build of foo is being skipped; without it: A?, B\n")
    assert script.seen[-1][1:3] == (f"/tasks/{TASK_ID}/skip", {"package": "foo"})


def test_a_refused_skip_says_why() -> None:
    """With what can be skipped."""
    message = "No build of foo is waiting or running. These are: bar."
    refusal = (409, {"success": False, "error": "build_not_skippable", "message": message, "hint": ""})
    code, output = skip(Skipping([ended("all").progress], refusal=refusal), "foo")
    assert code != 0
    assert message in output
