"""A service with a token: one dialog asks for it on every page, and the page goes on where it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Request, expect

from app.standin.instance import StandIn
from test.browser.conftest import Complaints, OpenTab
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TOKEN = "only for this test, and long enough"


@pytest.fixture
def locked(tmp_path: Path, complaints: Complaints) -> Iterator[ServiceProcess]:
    """A service that wants a token; the browser's console names each refusal."""
    complaints.expected += ["401", "429"]
    with ServiceProcess(tmp_path, token=TOKEN) as running:
        running.authorize(TOKEN)
        yield running


def log_in(page: Page, token: str = TOKEN) -> None:
    """Fills the dialog in."""
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_label("Token", exact=True).press("Enter")


class Asked:
    """The requests of a page to the API."""

    def __init__(self, page: Page) -> None:
        self.paths: list[str] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.resource_type in {"fetch", "xhr"}:
            self.paths.append(f"{request.method} {request.url.split('/', 3)[3]}")


def test_the_dialog_says_what_is_wrong_and_the_page_goes_on_without_a_reload(
    locked: ServiceProcess, tab: OpenTab
) -> None:
    """The focus is in the dialog, then where it was."""
    page = tab(f"{locked.url}/")
    dialog = page.get_by_role("dialog", name="Log in to Nodeferry")
    expect(page.get_by_label("Token", exact=True)).to_be_focused()
    page.evaluate("window.notReloaded = true")
    log_in(page, "another")
    expect(dialog).to_contain_text("Nodeferry does not know this token.")
    expect(page.get_by_label("Token", exact=True)).to_be_focused()
    log_in(page)
    expect(dialog).to_be_hidden()
    assert page.evaluate("window.notReloaded")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-scope", "all")
    expect(dialog).to_be_hidden()


def test_nothing_is_asked_while_the_token_is_missing(locked: ServiceProcess, context: BrowserContext) -> None:
    """One refusal on each page, however long it stands open; also with the dialog closed."""
    for path in ("/", "/ui/history", "/docs", "/ui/fleet", "/ui/task/00000000-0000-4000-8000-000000000000"):
        page = context.new_page()
        page.clock.install()
        asked = Asked(page)
        page.goto(locked.url + path)
        expect(page.get_by_role("dialog")).to_be_visible()
        page.clock.run_for(60_000)
        page.keyboard.press("Escape")
        expect(page.get_by_text("You are not logged in")).to_be_visible()
        page.clock.run_for(60_000)
        assert asked.paths == ["GET session"], path
        page.get_by_role("button", name="Log in", exact=True).click()
        expect(page.get_by_label("Token", exact=True)).to_be_focused()
        page.close()


def test_a_login_in_one_tab_lets_the_others_go_on(locked: ServiceProcess, tab: OpenTab) -> None:
    """And a logout ends them all."""
    one, other = tab(f"{locked.url}/ui/history"), tab(f"{locked.url}/docs")
    expect(one.get_by_role("dialog")).to_be_visible()
    log_in(other)
    for page in (one, other):
        expect(page.get_by_role("dialog")).to_be_hidden()
    expect(one.get_by_text("No run yet")).to_be_visible()
    expect(other.locator("#found")).to_contain_text("routes")
    other.get_by_role("button", name="More").click()
    other.get_by_role("button", name="Log out").click()
    for page in (one, other):
        expect(page.get_by_role("dialog", name="Log in to Nodeferry")).to_be_visible()


def test_a_session_that_ends_costs_nothing_of_what_was_typed(
    locked: ServiceProcess, tab: OpenTab, context: BrowserContext
) -> None:
    """The dialog says so; afterwards focus and text are where they were, and what was asked is answered."""
    page = tab(f"{locked.url}/")
    log_in(page)
    expect(page.get_by_role("dialog")).to_be_hidden()
    field = page.locator("main input[type=text]").first
    field.fill("ssh -p 9 root@127.0.0.1")
    context.clear_cookies()
    field.press("Enter")
    expect(page.get_by_role("dialog", name="Log in again")).to_be_visible()
    log_in(page)
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(field).to_have_value("ssh -p 9 root@127.0.0.1")


def test_too_many_wrong_tokens_are_told_with_the_time_to_wait(locked: ServiceProcess, tab: OpenTab) -> None:
    """The button is no use before."""
    page = tab(f"{locked.url}/")
    dialog = page.get_by_role("dialog")
    said = dialog.get_by_role("alert")
    for number in range(40):
        log_in(page, f"wrong {number}")
        expect(said).not_to_be_empty()
        if "Too many wrong tokens" in said.inner_text():
            break
    expect(said).to_contain_text("You can try again in")
    expect(dialog.get_by_role("button", name="Log in")).to_be_disabled()


@pytest.mark.sshd
def test_a_page_carries_nothing_before_the_login(
    locked: ServiceProcess, tab: OpenTab, standin: StandIn, urls: list[str]
) -> None:
    """Neither the machine's address nor a pack's name."""
    task_id = locked.install(standin, manifest={"urls": urls[1:2]})
    locked.ended(task_id)
    page = tab(f"{locked.url}/ui/task/{task_id}")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert standin.user + "@" not in page.content()
    assert "light" not in page.locator("main").inner_text()
    log_in(page)
    expect(page.locator("main")).to_contain_text("light")
