"""A status link: made on the run's page, it shows the run to somebody who has nothing but the link."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.standin.instance import StandIn
from test.browser.conftest import OpenTab
from test.browser.test_accessibility import faults
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]


def test_a_link_shows_the_run_to_another_browser_until_it_is_ended(
    tmp_path: Path, standin: StandIn, urls: list[str], tab: OpenTab, browser: Browser
) -> None:
    with ServiceProcess(tmp_path, status_links="true") as service:
        task_id = service.install(standin, manifest={"urls": urls[1:]})
        service.ended(task_id)
        page = tab(f"{service.url}/ui/run/{task_id}")
        page.locator("#head").get_by_role("button", name="More").click()
        page.get_by_role("button", name="Status link").click()
        dialog = page.get_by_role("dialog", name="Status link")
        dialog.get_by_role("button", name="Make a link").click()
        link = dialog.get_by_label("Status link of this run").input_value()
        with browser.new_context(viewport={"width": 390, "height": 844}) as other:
            seen = other.new_page()
            seen.goto(link)
            expect(seen.get_by_role("heading", level=1)).to_have_text("1 of 2 node packs ready, 1 failed")
            expect(seen.get_by_role("listitem")).to_have_count(2)
            expect(seen.get_by_role("list")).to_contain_text("Repository not found")
            assert "127.0.0.1" not in (seen.locator("body").text_content() or "")
            assert seen.get_by_role("button").count() == 0
            assert faults(seen) == []
            dialog.get_by_role("button", name="End the link").click()
            expect(dialog.get_by_role("button", name="Make a link")).to_be_visible()
            seen.reload()
            expect(seen.get_by_role("heading", level=1)).to_have_text("This link shows nothing")
