"""The pictures: what a person sees of an install."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console, RenderableType

from app.cli.view import line_output
from app.cli.view.live_view import LiveView, bounded
from app.cli.view.remaining import Remaining
from app.cli.view.result import exit_status, pack_table, sentence, show_result
from app.protocol.events import ManifestRead, NodeProgress, RunEnded
from app.protocol.manifest import NodePack
from app.protocol.snapshot import Problem
from app.protocol.states import TaskState
from test.cli.stories import COMMIT, NOT_FOUND, begun, ended


def drawn(view: RenderableType, *, width: int = 120, height: int = 30) -> str:
    """What the view looks like on a terminal of that size."""
    console = Console(record=True, width=width, height=height, force_terminal=True, file=io.StringIO())
    console.print(view)
    return console.export_text()


def ending(progress: dict[str, Any], width: int = 80) -> str:
    """How the end of an install looks."""
    console = Console(record=True, width=width, force_terminal=True, file=io.StringIO())
    show_result(console, progress)
    return console.export_text()


def test_it_works() -> None:
    """A pack that is being cloned shows its percent, rate, size and how it stands."""
    story = begun().node("Beta", "cloning")
    story.emit(NodeProgress(name="Beta", percent=45, bytes_received=2_621_440, rate=1_258_291.0))
    text = drawn(LiveView(story.progress))
    row = next(line for line in text.splitlines() if line.startswith("Beta"))
    assert "Working  downloading 45 % · 1.3 MB/s" in row and "2.6 MB" in row
    assert "Downloading node packs: 0 of 3 done" in text


def test_a_pack_of_the_registry_has_its_version_beside_its_name() -> None:
    """Where that has room: its name is worth more."""
    pack = NodePack("impact-pack", "", registry_id="impact-pack", version="8.1.0")
    story = begun([]).emit(ManifestRead("urls", (pack,)))
    before = story.progress
    row = drawn(LiveView(story.node("impact-pack", "cloning").progress))
    assert "\nimpact-pack 8.1.0  Working  downloading 0 %" in row
    assert "\nimpact-pack   Working" in drawn(LiveView(story.progress), width=34)
    lines = line_output.pack_changes(before["nodes"][0], story.node("impact-pack", "cloned").progress["nodes"][0])
    assert lines == ["impact-pack: downloaded: 8.1.0"]


def test_packs_at_work_and_failed_ones_are_seen_in_the_order_of_the_list() -> None:
    """With more packs than lines; how many have none is said, and how they stand."""
    names = [f"Pack-{number:02}" for number in range(34)]
    story = begun(names).node("Pack-33", "cloning").node("Pack-20", "cloning", "failed", error=NOT_FOUND)
    shown, hidden = bounded(story.progress["nodes"], 6)
    assert [node["name"] for node in shown] == ["Pack-00", "Pack-01", "Pack-02", "Pack-20", "Pack-33"]
    assert len(hidden) == 29
    assert "and 27 more: 27 Waiting" in drawn(LiveView(story.progress), width=60, height=12)


@pytest.mark.parametrize("height", [8, 12, 24, 60])
def test_the_picture_is_never_higher_than_the_terminal(height: int) -> None:
    """A live picture that scrolls away is none."""
    story = begun([f"Pack-{number:02}" for number in range(34)])
    text = drawn(LiveView(story.progress), height=height)
    assert len(text.rstrip("\n").splitlines()) < height


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Lines that wrap would break the height."""
    story = begun(["A-pack-with-a-name-that-is-longer-than-anybody-would-think-possible", "Beta"])
    story.node("Beta", "cloning", "failed", error=Problem("x" * 300, "m" * 300))
    text = drawn(LiveView(story.progress), width=width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert len(text.rstrip("\n").splitlines()) <= 10


def test_the_clock_goes_on_between_polls() -> None:
    """Elapsed time is the answer's and what has passed since."""
    progress = begun().progress | {"elapsed_seconds": 61.0, "eta_seconds": 30.0}
    text = drawn(LiveView(progress, ahead=5.0))
    assert "01:06" in text and "about 25 s left" in text


def test_what_is_left_does_not_jump_while_the_bar_stands() -> None:
    """It counts down from what was said, whatever is said besides; when the bar has moved, the new word holds."""
    remaining = Remaining()

    def left(percent: float, eta: float, now: float) -> float | None:
        progress = {"percent": percent, "eta_seconds": eta}
        remaining.heard(progress, now)
        told = remaining.told(progress, now, 0.0)["eta_seconds"]
        return None if told is None else float(told)

    assert [left(40.1, 30.0, 0.0), left(40.4, 90.0, 3.0), left(40.9, 5.0, 6.0)] == [30.0, 27.0, 24.0]
    assert left(40.9, 80.0, 31.0) is None
    assert left(41.0, 80.0, 32.0) == 80.0


def test_figures_that_are_older_than_ten_seconds_are_not_shown_as_of_now() -> None:
    """Neither a rate nor what is left; for how long there is no data is said. A service that hangs is the same."""
    story = begun().node("Beta", "cloning")
    story.emit(NodeProgress(name="Beta", percent=45, bytes_received=2_621_440, rate=1_258_291.0, eta=9.0))
    fresh, old = (drawn(LiveView(story.progress, ahead=ahead)) for ahead in (1.0, 12.0))
    assert "downloading 45 % · 1.3 MB/s · 9 s left" in fresh and "no data" not in fresh
    assert "downloading 45 %, no data for 12 s" in old and "MB/s" not in old
    assert old.count("no data for") == 2 and "about" not in old


@pytest.mark.parametrize(
    ("kind", "sentence", "message"),
    [
        ("cut", "The line to the machine is cut; the install goes on there", "The connection was lost."),
        ("waiting_for_machine", "The machine does not answer yet; it is tried again", "h:22 could not be reached."),
    ],
)
def test_a_wait_says_why_and_when_it_is_tried_again(kind: str, sentence: str, message: str) -> None:
    """In the words of the pages, whole at 60 columns."""
    due = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
    summary = {"kind": kind, "tone": "warn", "sentence": sentence}
    progress = begun().progress | {"summary": summary, "message": message, "attempt": 3, "next_attempt_at": due}
    lines = drawn(LiveView(progress), width=60).splitlines()
    assert sentence in lines and message in lines
    assert any(line.rstrip().endswith(("Try 3 in 29 s", "Try 3 in 30 s")) for line in lines)


def test_text_from_elsewhere_cannot_command_the_terminal() -> None:
    """Neither escape sequences nor markup of a pack's or an instance's text take effect."""
    story = begun(["[red]Al[/red]\x1b[2Jpha"])
    story.node("[red]Al[/red]\x1b[2Jpha", "cloning", "failed", error=Problem("c", "\x1b]0;x\x07"))
    story.emit(RunEnded(state=TaskState.COMPLETED))
    text = ending(story.progress) + drawn(LiveView(story.progress))
    assert "\x1b" not in text and "\x07" not in text and "[red]" in text


def test_the_last_table_tells_every_pack_and_why_it_failed() -> None:
    """State, commit, requirements, seconds; code, message and hint of a failure; one sentence."""
    text = ending(ended("partial").progress)
    good = next(line for line in text.splitlines() if line.startswith("Alpha"))
    bad = next(line for line in text.splitlines() if line.startswith("Gamma "))
    assert "Ready" in good and COMMIT[:10] in good and "success" in good and "2.0" in good
    assert "Failed" in bad
    assert "Gamma: repository_not_found\n    The repository does not exist.\n    Check the URL.\n" in text
    assert text.rstrip().splitlines()[-1].strip() == (
        "Partly installed: 2 of 3 node packs are installed; restart ComfyUI to load them."
    )


def test_the_last_table_has_fewer_cells_rather_than_folded_names() -> None:
    """A narrow terminal leaves out what is least needed; what is piped has everything."""
    nodes = (
        begun(["ComfyUI-HunyuanVideoMultiLora", "B"]).node("B", "cloning", "cloned", commit=COMMIT).progress["nodes"]
    )
    heads = [pack_table(nodes, width)[0].plain.split() for width in (None, 80, 60, 45, 20)]
    whole = ["pack", "state", "commit", "requirements", "seconds"]
    assert heads == [whole, whole, ["pack", "state", "commit", "seconds"], ["pack", "state"], ["pack", "state"]]
    assert all(len(pack_table(nodes, width)) == 3 for width in (None, 60, 20))


def test_the_last_sentence_is_the_one_that_the_pages_show() -> None:
    """With what to do, where that is known."""
    told = {"summary": {"kind": "partial", "tone": "warn", "sentence": "2 of 3 node packs ready, 1 failed"}}
    assert sentence(told) == "2 of 3 node packs ready, 1 failed."
    assert sentence({**told, "error": {"hint": "Make room."}}) == "2 of 3 node packs ready, 1 failed. Make room."


def test_a_run_that_failed_says_why() -> None:
    """The run's own error and hint are in the sentence."""
    assert sentence(ended("failed").progress) == "Failed: The disk is full. Make room."


@pytest.mark.parametrize(
    ("outcome", "status"), [("all", 0), ("partial", 3), ("none", 1), ("failed", 1), ("cancelled", 130)]
)
def test_each_end_has_its_exit_status(outcome: str, status: int) -> None:
    """The statuses that scripts rely on."""
    assert exit_status(ended(outcome).progress) == status


def test_lines_tell_each_change_once() -> None:
    """Without a terminal every change of a pack is one line, and nothing is said twice."""
    before: dict[str, Any] | None = None
    lines: list[str] = []
    for progress in ended("partial").shown:
        lines += line_output.changes(before, progress)
        before = progress
    assert before is not None and line_output.changes(before, before) == []
    texts = [line.split("%  ", 1)[1] for line in lines]
    assert [text for text in texts if text.startswith("Alpha: ")] == [
        "Alpha: downloading",
        f"Alpha: downloaded: {COMMIT[:10]}",
        "Alpha: Ready",
    ]
    assert "Gamma: Failed: repository_not_found: The repository does not exist. Check the URL." in texts
    assert len(texts) == len(set(texts))
