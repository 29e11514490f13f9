"""A service with a token: the page asks for it, and carries nothing before it has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.standin.instance import StandIn
from test.browser.conftest import Complaints, OpenTab
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
TOKEN = "only-for-this-test"


def test_the_page_asks_for_the_token_and_works_with_it(
    tmp_path: Path, standin: StandIn, urls: list[str], tab: OpenTab, complaints: Complaints
) -> None:
    """Nothing of the run stands in the page before; afterwards it is live."""
    complaints.expected += ["401"]
    with ServiceProcess(tmp_path, token=TOKEN) as service:
        service.authorize(TOKEN)
        task_id = service.install(standin, manifest={"urls": urls[1:]})
        service.ended(task_id)
        page = tab(f"{service.url}/ui/task/{task_id}")
        banner = page.locator("#banner")
        expect(banner).to_contain_text("token")
        assert standin.user + "@" not in page.content()
        assert "light" not in page.locator("main").inner_text()
        page.get_by_label("Token").fill("another")
        page.get_by_role("button", name="Use it").click()
        expect(banner).to_contain_text("token")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("[data-ref=summary]")).to_contain_text("1 failed.")
        expect(banner).to_be_hidden()
