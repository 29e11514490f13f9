"""The text of a poll's answer: what is kept of it says the same as what is made anew, whenever it is asked for."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.retry import RetryLinks
from app.protocol import progress_json, redaction, secret_values
from app.protocol.redaction import masked
from app.protocol.terminal_text import json_text
from app.sync.installs import progress_texts
from app.sync.installs.patches import MOVING
from app.sync.installs.progress_answers import ProgressAnswers
from app.sync.installs.progress_cache import InstallStatus
from test.protocol.events_for_tests import fold, whole_run
from test.support.random_journals import snapshots


class Asked:
    """Two of them with one clock and one line: one is asked for texts, the other for what they say."""

    def __init__(self, random: Random) -> None:
        self.now = 1000.0
        self._random = random
        self._place = None if random.random() < 0.5 else {"position": 2, "behind": None}
        self.quick, self.plain = (ProgressAnswers(lambda _: self._place, 30.0, lambda: self.now) for _ in range(2))
        self.plain._patches.line = self.quick._patches.line

    def both(self, status: InstallStatus, since: int | None, *, patch: bool, line: str | None) -> tuple[bytes, bytes]:
        """The text that is sent, and what `answer` says. Packed it is the same."""
        self.now += self._random.choice([0.0, 0.25, 70.0])
        answer = self.plain.answer(status, since, patch=patch, line=line)
        found = self.quick.text(status, since, patch=patch, line=line)
        packed = found.packed()
        assert packed is None or gzip.decompress(packed) == found.sent
        return found.sent, masked(json_text(answer, separators=(",", ":"))).encode()


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 40))
def test_a_text_says_what_the_answer_says(random: Random, count: int) -> None:
    """Byte for byte, for plain polls and patches, of known and unknown revisions, again and later."""
    asked, given_out = Asked(random), [0]
    for snapshot in snapshots(random, count):
        status = InstallStatus(snapshot, heard_at=random.choice([None, asked.now]))
        for _ in range(random.randint(0, 3)):
            since = random.choice([None, random.choice(given_out)])
            line = random.choice([None, asked.quick._patches.line, "another"])
            text, said = asked.both(status, since, patch=random.random() < 0.6, line=line)
            assert text == said
            given_out.append(snapshot.revision)


def test_what_moves_is_what_the_progress_says_of_it() -> None:
    """The gaps are filled from another function; it names no field that is not there, and each has its value."""
    for status in every_status():
        moving = progress_json.moving(status.snapshot, 2000.0, heard_at=1999.0)
        whole = progress_json.progress(status.snapshot, 2000.0, heard_at=1999.0)
        assert moving.items() <= whole.items()
        later = progress_json.progress(status.snapshot, 2100.0, heard_at=1999.0)
        assert {name for name in whole if whole[name] != later[name]} <= moving.keys()
        assert {*MOVING, "last_event_seconds_ago"} - {"queue", "retry"} <= moving.keys()


def test_who_links_to_a_retry_is_seen_at_once() -> None:
    """Nothing else of the status is another."""
    asked, [*_, last] = Asked(Random(1)), every_status()
    asked.both(last, None, patch=False, line=None)
    linked = InstallStatus(last.snapshot, retry_links=RetryLinks(retried_by="2"))
    text, _ = asked.both(linked, None, patch=False, line=None)
    assert json.loads(text)["retry"]["retried_by"] == "2"


def test_a_secret_that_is_learned_later_is_masked_in_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text is made anew then, and so is each row."""
    monkeypatch.setattr(secret_values, "_values", secret_values._values)
    asked, status = Asked(Random(2)), every_status()[-1]
    name = next(iter(status.snapshot.nodes.values())).repo_url
    assert name.encode() in asked.both(status, None, patch=False, line=None)[0]
    redaction.register(name)
    text, said = asked.both(status, None, patch=False, line=None)
    assert text == said and name.encode() not in text


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks that nobody has asked about for the longest time go first; of one, only so many different answers."""
    monkeypatch.setattr(progress_texts, "MAX_CHARS", 1)
    asked, status = Asked(Random(3)), every_status()[4]
    for number in range(40):
        asked.both(status, None, patch=True, line=f"{number}")
    [kept] = asked.quick._texts._tasks.values()
    assert len(kept.texts) == progress_texts.MAX_OF_A_TASK
    other = InstallStatus(replace(status.snapshot, task_id="another"))
    asked.both(other, None, patch=False, line=None)
    assert list(asked.quick._texts._tasks) == ["another"]


@pytest.mark.slow
def test_a_poll_of_what_is_kept_costs_a_small_part() -> None:
    """Of making it anew, in processor time: at most a quarter, where it is some fiftieth."""
    asked, status = Asked(Random(4)), every_status()[-1]
    asked.quick.text(status)
    spent = []
    for call in (lambda: asked.quick.text(status), lambda: masked(json_text(asked.plain.answer(status)))):
        began = time.thread_time()
        for _ in range(50):
            call()
        spent.append(time.thread_time() - began)
    assert spent[0] < spent[1] / 4


def every_status() -> list[InstallStatus]:
    """One for each event of a run of three packs, with builds that go on."""
    told = whole_run().told
    return [InstallStatus(fold(told[:count])) for count in range(len(told) + 1)]
