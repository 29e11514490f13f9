"""Every reason code that the sources use is registered once, with what people and retries need to know of it."""

from __future__ import annotations

import re

import pytest

from app.domain import errors
from app.protocol.reasons import REASONS, find, for_people
from app.words import table
from test.house.sources import ROOT
from tools.reason_codes import uses

PAGES = ROOT / "app" / "webui" / "static" / "js"
PAGES_OWN = frozenset({"no_stream", "unreachable", "missing"})
"""What the pages say themselves: the service was not there to say it."""


def test_every_code_that_is_used_is_registered() -> None:
    assert [f"{use.where}: {use.code}" for use in uses() if use.code not in REASONS] == []


def test_every_code_that_is_registered_is_used() -> None:
    assert set(REASONS) - {use.code for use in uses()} == set()


def test_no_code_is_registered_twice() -> None:
    parts = [ROOT / "app" / "protocol" / name for name in ("reasons.py", "request_reasons.py", "safety_reasons.py")]
    text = "".join(part.read_text("utf-8") for part in parts)
    assert len(re.findall(r"^    Reason\($|^    Reason\(\"", text, re.MULTILINE)) == len(REASONS)


@pytest.mark.parametrize("code", sorted(REASONS))
def test_a_title_is_short_and_for_people(code: str) -> None:
    """Two to five words, or one that is a name; no word of the code's spelling."""
    title = find(code).title
    assert len(title.split()) <= 5
    assert "_" not in title.replace("custom_nodes", "")
    assert not title.endswith(".")


def test_what_is_retried_by_itself_can_be_retried_by_a_person_too() -> None:
    assert {code for code, reason in REASONS.items() if reason.transient and not reason.retryable} == set()
    assert {"host_not_reached", "registry_timed_out", "connect_failed"} <= {
        c for c, r in REASONS.items() if r.transient
    }


def test_an_error_is_shown_with_its_title_and_whether_a_retry_helps() -> None:
    shown = for_people({"code": "repository_not_found", "message": "Gone.", "hint": ""})
    assert shown == {
        "code": "repository_not_found",
        "title": "Repository not found",
        "message": "Gone.",
        "hint": "",
        "retryable": False,
    }
    assert for_people({"code": "connect_failed", "message": "", "hint": ""})["hint"] == find("connect_failed").hint


def test_a_code_of_another_version_is_shown_too() -> None:
    """An older journal, or a newer runner, may have one that is not registered here."""
    shown = for_people({"code": "never_heard_of", "message": "It broke."})
    assert (shown["title"], shown["message"], shown["hint"]) == ("Never heard of", "It broke.", "")


def test_an_error_has_the_hint_of_its_finer_code() -> None:
    assert errors.ConnectFailed("No.", code="too_many_jumps").hint == find("too_many_jumps").hint
    assert not errors.ConnectFailed("No.", code="too_many_jumps").retried
    assert errors.ConnectFailed("No.").retried


def test_the_pages_know_only_registered_codes() -> None:
    texts = {path.name: path.read_text("utf-8") for path in PAGES.rglob("*.js")}
    advised = [key.removesuffix("_do")[len("start.trouble_") :] for key in table() if key.startswith("start.trouble_")]
    asked = [code for text in texts.values() for code in re.findall(r'(?:error|code)(?: ===|:) "(\w+)"', text)]
    assert len(advised) > 10
    assert set(advised + asked) - set(REASONS) - PAGES_OWN == set()
