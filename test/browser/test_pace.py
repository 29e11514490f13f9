"""When the page of a run is drawn: news at once, yet with a pause between two times; figures once a second."""

from __future__ import annotations

import pytest

from test.browser.conftest import OpenTab
from test.browser.part_page import serve
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SCRIPT = """
import { Pace } from "../run/pace.js";
globalThis.drawn = [];
globalThis.pace = new Pace(() => drawn.push(Math.round(performance.now())));
"""


def test_news_is_drawn_at_once_and_much_of_it_with_pauses(service: ServiceProcess, tab: OpenTab) -> None:
    """Forty news in two seconds are seven frames, the first of them at once and none of them lost."""
    page = tab("about:blank")
    page.clock.install()
    page.goto(serve(page, service.url, "", SCRIPT))
    page.wait_for_function("() => globalThis.pace")
    page.clock.pause_at("2100-01-01")
    assert page.evaluate("() => { drawn.length = 0; pace.soon(); return drawn.length; }") == 1
    for _ in range(40):
        page.evaluate("() => pace.soon()")
        page.clock.run_for(50)
    page.clock.run_for(350)
    assert page.evaluate("() => drawn.length") == 7
    assert page.evaluate("() => Math.min(...drawn.slice(1).map((at, index) => at - drawn[index]))") >= 350

    page.evaluate("() => { drawn.length = 0; }")
    page.clock.run_for(10_000)
    assert page.evaluate("() => drawn.length") == 10, "figures come each second"
