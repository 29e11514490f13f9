"""A laptop that sleeps for an hour while a run goes on: its page stands still, the clock of the day does not, and the
clock of the browser (performance.now) stops, as it does on Linux and macOS."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from test.browser.conftest import Complaints
from test.browser.run_page import sentence
from test.support.stage import Stage, scenario

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
CLOCK = """let slept = 0;
const Day = Date;
globalThis.Date = class extends Day {
    constructor(...given) {
        super(...(given.length ? given : [Day.now() + slept]));
    }
    static now() {
        return Day.now() + slept;
    }
};
globalThis.sleepFor = (seconds) => { slept += seconds * 1000; };"""
HOUR = 3600


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A service that knows nothing yet."""
    with Stage(tmp_path) as opened:
        yield opened


def opened(stage: Stage, context: BrowserContext, complaints: Complaints, run_id: str) -> Page:
    """The page of a run, once it shows figures."""
    context.add_init_script(CLOCK)
    page = context.new_page()
    complaints.watch(page)
    page.goto(f"{stage.url}/ui/run/{run_id}")
    expect(page.locator("#rows")).to_contain_text(re.compile(r"downloading \d+ % · .*B/s"))
    return page


@contextmanager
def asleep(page: Page) -> Iterator[None]:
    """Nothing of the page runs meanwhile."""
    session = page.context.new_cdp_session(page)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    yield
    session.send("Runtime.evaluate", {"expression": f"sleepFor({HOUR})"})
    session.send("Page.setWebLifecycleState", {"state": "active"})


def requests_until(page: Page, asked: list[str], text: re.Pattern[str] | str) -> int:
    """How many there were from now until the page says this, and three seconds more."""
    before = len(asked)
    expect(sentence(page)).to_have_text(text, timeout=4_000)
    page.evaluate("globalThis.then = performance.now()")
    page.wait_for_function("() => performance.now() - then > 3000")
    return len(asked) - before


def test_after_an_hour_the_page_says_at_once_what_is_true(
    stage: Stage, context: BrowserContext, complaints: Complaints
) -> None:
    """The service was started anew meanwhile, and the run has ended. A few requests tell it: no storm."""
    complaints.expected.append("net::ERR_")
    played = scenario(34)
    run_id = stage.live(played, until="half")
    page = opened(stage, context, complaints, run_id)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with asleep(page):
        stage.restart_service()
        stage.play(run_id, played.seconds)
        asked.clear()
    assert requests_until(page, asked, "All 34 node packs are ready") <= 12
    assert page.get_by_text(re.compile(r"[kM]B/s")).count() == 0


def test_no_older_figure_is_shown_as_live_after_waking(
    stage: Stage, context: BrowserContext, complaints: Complaints
) -> None:
    """As long as the service says nothing: not for ten seconds more, and not for one. It goes on when it answers."""
    complaints.expected.append("net::ERR_")
    played = scenario(34)
    run_id = stage.live(played, until="half")
    page = opened(stage, context, complaints, run_id)
    with asleep(page):
        os.kill(stage.service.pid, signal.SIGSTOP)
    try:
        expect(page.locator("[data-ref=left]")).to_have_text(
            re.compile(r"^no data for (1 h|60 min|6\d min)"), timeout=3_000
        )
        expect(page.get_by_text(re.compile(r"[kM]B/s"))).to_have_count(0, timeout=1_500)
    finally:
        os.kill(stage.service.pid, signal.SIGCONT)
    stage.play(run_id, played.seconds)
    expect(sentence(page)).to_have_text("All 34 node packs are ready")
