"""Who is told elsewhere when a run ends: the page shows its state, switches it off, and sends a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from test.browser.conftest import OpenTab
from test.browser.test_accessibility import faults
from test.support.receiver import SECRET, Receiver
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def opened(page: Page) -> None:
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Tell me elsewhere").click()


def test_a_test_is_sent_and_the_switch_kept(tmp_path: Path, receiver: Receiver, tab: OpenTab) -> None:
    with ServiceProcess(tmp_path, notify_urls=receiver.url) as service:
        page = tab(f"{service.url}/docs")
        opened(page)
        dialog = page.get_by_role("dialog", name="Tell me elsewhere")
        expect(dialog).to_contain_text("JSON")
        assert SECRET not in (dialog.text_content() or "")
        assert faults(page) == []
        dialog.get_by_role("button", name="Send a test").click()
        expect(dialog).to_contain_text("The test was sent.")
        assert "This is a test" in receiver.received[0]["message"]
        dialog.get_by_role("button", name="Switch off").click()
        expect(dialog).to_contain_text("Switched off.")
        dialog.get_by_role("button", name="Close").click()
        page.reload()
        opened(page)
        expect(dialog.get_by_role("button", name="Switch on")).to_be_visible()


def test_without_receivers_it_says_how_to_name_some(service: ServiceProcess, tab: OpenTab) -> None:
    page = tab(f"{service.url}/docs")
    opened(page)
    expect(page.get_by_role("dialog")).to_contain_text("NODEFERRY_NOTIFY_URLS")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="More")).to_be_focused()
