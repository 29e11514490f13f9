"""A browser that logs in: by the link that the service showed, by the form, and out again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from app.domain.access import Scope
from app.storage.token_file import TokenFile
from test.browser.conftest import Complaints, OpenTab
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service that wants a login."""
    with ServiceProcess(tmp_path, token="chosen by a person, and long") as running:
        yield running


def test_the_link_logs_in_and_leaves_the_address(
    locked: ServiceProcess, tab: OpenTab, context: BrowserContext, complaints: Complaints
) -> None:
    """The page works, also after a reload and in another tab; no script sees the cookie; logging out ends all tabs."""
    complaints.expected += ["401"]
    secret = TokenFile(locked.data_dir).new("mine", Scope.ALL)
    page = tab(f"{locked.url}/docs#token={secret}")
    expect(page.locator("#found")).to_contain_text("routes")
    assert page.url == f"{locked.url}/docs"
    page.reload()
    expect(page.locator("#found")).to_contain_text("routes")
    expect(page.get_by_role("dialog")).to_be_hidden()
    (cookie,) = context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["value"] != secret
    seen = "document.cookie + JSON.stringify(sessionStorage) + JSON.stringify(localStorage) + history.length"
    assert not re.search(r"nodeferry-session|ndf_", page.evaluate(seen))
    other = tab(f"{locked.url}/")
    other.get_by_role("button", name="More").click()
    expect(other.locator("#bar-out")).to_contain_text("as mine")
    other.get_by_role("button", name="Log out").click()
    expect(other.get_by_label("Token", exact=True)).to_be_visible()
    expect(page.get_by_label("Token", exact=True)).to_be_visible()
    assert context.cookies() == []


def test_a_link_in_an_open_page_and_a_read_only_token(
    locked: ServiceProcess, tab: OpenTab, complaints: Complaints
) -> None:
    """Pasted into the address of a page that asks for a token already; a wrong one is told, a read-only one too."""
    complaints.expected += ["401"]
    secret = TokenFile(locked.data_dir).new("dashboard", Scope.READ_ONLY)
    page = tab(f"{locked.url}/docs#token=wrong")
    expect(page.get_by_role("dialog")).to_contain_text("does not know this token")
    page.goto(f"{locked.url}/docs#token={secret}")
    expect(page.locator("#bar-read-only")).to_have_text("Read-only")
    expect(page.locator("#found")).to_contain_text("routes")
    assert "#" not in page.url


def test_what_writes_is_out_of_use_with_a_read_only_token_and_says_why(
    locked: ServiceProcess, tab: OpenTab, complaints: Complaints
) -> None:
    """Nothing is sent, however it is pressed."""
    complaints.expected += ["401"]
    secret = TokenFile(locked.data_dir).new("dashboard", Scope.READ_ONLY)
    page = tab(f"{locked.url}/docs#token={secret}")
    expect(page.locator("#bar-read-only")).to_be_visible()
    add = """(name) => {
        const button = document.createElement("button");
        button.textContent = name;
        button.dataset.writes = "";
        button.onclick = () => { window.written = true; };
        document.querySelector("main").prepend(button);
    }"""
    page.evaluate(add, "Install it")
    button = page.get_by_role("button", name="Install it")
    expect(button).to_have_attribute("aria-disabled", "true")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("a token that can look at everything but change nothing")
    assert page.evaluate("window.written") is None
