"""What a page costs before anything happens on it: requests and bytes, by a browser that was never here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Response, Route, expect

from test.api.client import closed_address
from test.browser.conftest import OpenTab
from test.support.service import ServiceProcess

PATHS = ("/", "/ui/runs", "/ui/machines", "/ui/fleet", "/docs", "/ui/run/{}")
PAINTED = "() => performance.getEntriesByName('first-contentful-paint').length > 0"
pytestmark = [pytest.mark.browser, pytest.mark.slow]
MOST_REQUESTS = 8
LARGE = 1000
MOST_BYTES = 100_000
"""Of scripts, styles and the page itself, as they come over the wire."""


def answers_of(page: Page, address: str) -> list[Response]:
    """All answers until the page rests."""
    found: list[Response] = []

    def note(answer: Response) -> None:
        found.append(answer)

    page.on("response", note)
    page.goto(address)
    page.wait_for_load_state("networkidle")
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One for all pages: nothing of it is changed."""
    with ServiceProcess(tmp_path_factory.mktemp("weight")) as running:
        yield running


@pytest.fixture(scope="module")
def task_id(service: ServiceProcess) -> str:
    """A task that has ended."""
    started = service.install(closed_address(), options={"wait_seconds": 0})
    service.get(f"/tasks/{started}", wait=30)
    return started


@pytest.mark.parametrize("path", PATHS)
def test_a_page_asks_for_little_and_gets_it_small(
    service: ServiceProcess, tab: OpenTab, task_id: str, path: str
) -> None:
    """From a checkout, without a build step: one sheet, one script, a picture, and what the page wants to know."""
    page = tab("about:blank")
    answers = answers_of(page, service.url + path.format(task_id))
    assert len(answers) <= MOST_REQUESTS, [answer.url for answer in answers]
    kinds = [answer.request.resource_type for answer in answers]
    assert (kinds.count("stylesheet"), kinds.count("script"), kinds.count("font")) == (1, 1, 0)
    for answer in answers:
        if answer.ok and len(answer.body()) >= LARGE:
            assert answer.headers.get("content-encoding") == "gzip", answer.url
    loaded = [answer for answer in answers if answer.request.resource_type in {"document", "stylesheet", "script"}]
    assert sum(answer.request.sizes()["responseBodySize"] for answer in loaded) < MOST_BYTES


def test_a_page_is_painted_while_its_sheet_and_script_are_on_their_way(
    service: ServiceProcess, tab: OpenTab, task_id: str
) -> None:
    """What the first screen needs stands in the page, and its policy allows just that."""
    page = tab("about:blank")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    for path in PATHS:
        page.route("**/ui/static/**", hold)
        page.goto(service.url + path.format(task_id), wait_until="commit")
        page.wait_for_function(PAINTED)
        expect(page.locator(".topbar")).to_have_css("height", "48px")
        expect(page.locator("p.bare")).to_be_hidden()
        assert any(".css" in route.request.url for route in held), path
        while held:
            held.pop().continue_()
        page.unroute("**/ui/static/**")
        page.wait_for_load_state("networkidle")
