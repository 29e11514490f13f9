"""The pages and the command line write the same sizes and times, and the pages tell times in the reader's zone."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, Page

from app.webui.assets import modules
from app.webui.bundle import joined
from app.words import word
from test.protocol.test_amounts import CLOCKS, SIZES, SPANS

pytestmark = pytest.mark.browser
MODULE = "js/core/format.js"


def formatter(page: Page) -> None:
    """Makes the pages' own formatter `window.format`."""
    script = joined(MODULE, modules())
    page.goto("about:blank")
    page.evaluate(f"(() => {{ {script}; window.format = {{ bytes, rate, clock, span, ago, when, exactly }}; }})()")


def test_a_table_of_values_is_the_same_on_both(browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        formatter(page)
        for name, table in (("bytes", SIZES), ("clock", CLOCKS), ("span", SPANS)):
            found = page.evaluate(f"{json.dumps(list(table))}.map(window.format.{name})")
            assert found == list(table.values()), name
        for name in ("bytes", "clock", "span"):
            assert page.evaluate(f"[null, undefined, NaN].map(format.{name})") == ["", "", ""]


@pytest.mark.parametrize(
    ("then", "now", "text"),
    [
        ("2026-03-05T11:59:50Z", "2026-03-05T12:00:00Z", word("common.just_now")),
        ("2026-03-05T12:00:30Z", "2026-03-05T12:00:00Z", word("common.just_now")),  # the service's clock is ahead
        ("2026-03-05T11:55:00Z", "2026-03-05T12:00:00Z", "5 minutes ago"),
        ("2026-03-05T09:00:00Z", "2026-03-05T12:00:00Z", "3 hours ago"),
        ("2026-03-04T20:03:00Z", "2026-03-05T12:00:00Z", "yesterday, 21:03"),
        ("2026-03-04T23:30:00Z", "2026-03-05T12:00:00Z", "12 hours ago"),  # in Berlin it is the same day
        ("2026-03-01T08:05:00Z", "2026-03-05T12:00:00Z", "1 Mar, 09:05"),
        ("2025-11-12T13:03:00Z", "2026-03-05T12:00:00Z", "12 Nov 2025, 14:03"),
    ],
)
def test_times_are_relative_in_lists_and_of_the_reader_s_zone(browser: Browser, then: str, now: str, text: str) -> None:
    with browser.new_context(locale="en-GB", timezone_id="Europe/Berlin") as context:
        page = context.new_page()
        formatter(page)
        said = page.evaluate("([then, now]) => format.ago(then, new Date(now))", [then, now])
        assert said.replace("\u202f", " ") == text
        assert "Europe/Berlin" in page.evaluate("(then) => format.exactly(then)", then)
