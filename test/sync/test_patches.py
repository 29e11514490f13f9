"""Patches: what they make of what a reader has is the whole progress, whatever happened between."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocol import progress_json
from app.sync.installs import patches
from app.sync.installs.patches import Patches, Progress
from app.sync.installs.progress_cache import InstallStatus
from test.protocol.events_for_tests import fold, whole_run
from test.support.patching import play


def render(status: InstallStatus) -> Progress:
    return progress_json.progress(status.snapshot, 2000.0)


def statuses() -> list[InstallStatus]:
    """One for each event of a run of three packs."""
    told = whole_run().told
    return [InstallStatus(fold(told[:count])) for count in range(len(told) + 1)]


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 60))
def test_an_applied_patch_is_the_whole_progress(random: Random, count: int) -> None:
    """For several readers, each at revisions of its own, also after a plain answer; through JSON."""
    for reader, whole in play(random, count):
        assert json.dumps(reader.progress) == json.dumps(whole)


def test_random_runs_are_answered_by_patches_of_every_sort() -> None:
    """Else the test above would prove nothing."""
    readers = {id(reader): reader for seed in range(60) for reader, _ in play(Random(seed), 60)}.values()
    answers = [answer for reader in readers for answer in reader.answers]
    made = [answer["patch"] for answer in answers if "patch" in answer]
    assert len(made) > len(answers) / 2
    for name in ("nodes", "phases", "steps", "builds"):
        assert any(name in patch for patch in made), name
    for name in ("nodes", "steps", "builds", "outcome"):
        assert any(name in patch["set"] for patch in made), name


def test_a_patch_of_one_pack_s_step_is_small() -> None:
    """What did not change is not said."""
    known, newer = statuses()[8:10]
    made, line = Patches(), None
    made.answer(render(known), None, line, render)
    answer = made.answer(render(newer), known.snapshot.revision, line, render)
    assert set(answer["patch"]["nodes"]) == {"good"}
    assert set(answer["patch"]["nodes"]["good"]) >= {"clone_progress", "bytes_received"}
    assert "repo_url" not in answer["patch"]["nodes"]["good"]
    assert len(json.dumps(answer)) < len(json.dumps(render(newer))) / 4


@pytest.mark.parametrize(("since", "line"), [(4711, None), (3, "another"), (None, None)])
def test_who_comes_from_elsewhere_gets_the_whole(since: int | None, line: str | None) -> None:
    """From a revision that nobody was given, from before a restart, or from nothing."""
    made = Patches()
    made.answer(render(statuses()[3]), None, None, render)
    whole = render(statuses()[5])
    assert made.answer(whole, since, line, render) == {**whole, "line": made.line}


def test_what_plain_pollers_were_given_last_can_be_patched() -> None:
    """A page that carries a progress need not ask for it again."""
    made, known, newer = Patches(), statuses()[5], statuses()[6]
    made.note(known)
    assert "patch" in made.answer(render(newer), known.snapshot.revision, None, render)


def test_earlier_answers_are_forgotten_by_number_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest that nobody has used for longest; one that is too large alone is not kept at all."""
    monkeypatch.setattr(patches, "MAX_ANSWERS", 3)
    made, every = Patches(), statuses()
    for status in every[:5]:
        made.answer(render(status), None, None, render)
    assert ["patch" in made.answer(render(every[-1]), since, None, render) for since in (1, 4)] == [False, True]
    monkeypatch.setattr(patches, "MAX_CHARS", 100)
    small = Patches()
    small.answer(render(every[8]), None, None, render)
    assert "patch" not in small.answer(render(every[9]), every[8].snapshot.revision, None, render)


def test_tasks_are_forgotten_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many somebody polls."""
    monkeypatch.setattr(patches, "MAX_TASKS", 1)
    made, known, newer = Patches(), statuses()[5], statuses()[6]
    made.answer(render(known), None, None, render)
    made.answer({**render(known), "task_id": "another"}, None, None, render)
    assert "patch" not in made.answer(render(newer), known.snapshot.revision, None, render)


def test_all_tasks_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty large ones at once would be hundreds of megabytes."""
    made, known, newer = Patches(), statuses()[5], statuses()[6]
    monkeypatch.setattr(patches, "MAX_ALL_CHARS", int(1.5 * len(json.dumps(render(known)))))
    made.answer(render(known), None, None, render)
    assert "patch" in made.answer(render(newer), known.snapshot.revision, None, render)
    made.answer({**render(known), "task_id": "another"}, None, None, render)
    assert "patch" not in made.answer(render(newer), newer.snapshot.revision, None, render)
