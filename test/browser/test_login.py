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
    page = tab(f"{locked.url}/ui/history#token={secret}")
    expect(page.get_by_text("No run yet")).to_be_visible()
    assert page.url == f"{locked.url}/ui/history"
    page.reload()
    expect(page.get_by_text("No run yet")).to_be_visible()
    expect(page.locator("#banner")).to_be_hidden()
    (cookie,) = context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["value"] != secret
    seen = "document.cookie + JSON.stringify(sessionStorage) + JSON.stringify(localStorage) + history.length"
    assert not re.search(r"nodeferry-session|ndf_", page.evaluate(seen))
    other = tab(f"{locked.url}/")
    other.get_by_role("button", name="Log out").click()
    expect(other.get_by_role("button", name="Log out")).to_be_hidden()
    page.reload()
    expect(page.get_by_label("Token")).to_be_visible()
    assert context.cookies() == []


def test_a_link_in_an_open_page_and_a_read_only_token(
    locked: ServiceProcess, tab: OpenTab, complaints: Complaints
) -> None:
    """Pasted into the address of a page that asks for a token already; a wrong one is told, a read-only one too."""
    complaints.expected += ["401"]
    secret = TokenFile(locked.data_dir).new("dashboard", Scope.READ_ONLY)
    page = tab(f"{locked.url}/ui/history#token=wrong")
    page.get_by_label("Token").fill("wrong again")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#banner")).to_contain_text("not known here")
    page.goto(f"{locked.url}/ui/history#token={secret}")
    expect(page.locator("#session")).to_contain_text("Read-only")
    expect(page.get_by_text("No run yet")).to_be_visible()
    assert "#" not in page.url
