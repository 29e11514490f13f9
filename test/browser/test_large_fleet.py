"""The page of a large fleet: those that need somebody first, a hundred machines at a time, a search, one bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from test.api.client import closed_address, silent_address
from test.browser.conftest import OpenTab
from test.browser.test_accessibility import LOOKS, faults
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MANIFEST = {"urls": ["https://github.com/owner/pack"]}
MANY = 250


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of 250 machines of which one failed, one is at work, and the others wait for it."""
    folder: Path = tmp_path_factory.mktemp("fleet")
    with ExitStack() as opened:
        first = opened.enter_context(silent_address())
        service = opened.enter_context(ServiceProcess(folder, max_running="1", connect_timeout_seconds="300"))
        waiting = [f"ssh -p {10_000 + index} root@host{index % 7}.invalid" for index in range(2, MANY)]
        body = {"ssh_connections": [closed_address(), first, *waiting], "manifest": MANIFEST}
        started = service.post("/fleet/install-custom-nodes", body | {"options": {"wait_seconds": 0}}).json()
        yield f"{service.url}/ui/fleet/{started['fleet_id']}"


def _rows(page: Page) -> list[str]:
    return page.locator("#rows .run-said").all_text_contents()


def test_a_hundred_machines_at_a_time(fleet: str, tab: OpenTab) -> None:
    """In the order of the request; the address has the page, keys turn it."""
    page = tab(fleet)
    expect(page.locator("#rows .fleet-row")).to_have_count(100)
    expect(page.locator("#page-words")).to_have_text("1 to 100 of 250")
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#page-words")).to_have_text("101 to 200 of 250")
    assert _rows(page)[0] == "host2:10100"
    page.keyboard.press("n")
    expect(page.locator("#rows .fleet-row")).to_have_count(50)
    assert page.url.endswith("?page=3")
    page.reload()
    expect(page.locator("#page-words")).to_have_text("201 to 250 of 250")
    page.keyboard.press("p")
    expect(page.locator("#page-words")).to_have_text("101 to 200 of 250")


def test_who_needs_you_comes_first_and_every_choice_says_how_many(fleet: str, tab: OpenTab) -> None:
    page = tab(fleet)
    chips = page.locator("#chips .chip")
    expect(chips).to_contain_text(["All 250", "Needs you 1", "Running 1", "Waiting 248", "Ready 0", "Stopped 0"])
    needing = page.locator("#needs .fleet-row")
    expect(needing).to_have_count(1)
    expect(needing).to_contain_text("could not be reached")
    expect(page.get_by_role("heading", level=1)).to_contain_text("wait for their turn")
    expect(page.locator("#in-words")).to_have_text("Machines: 0 of 250 ready, 1 failed")
    page.get_by_role("button", name="Needs you 1").click()
    expect(page.locator("#rows .fleet-row")).to_have_count(1)
    expect(page.locator("#needs")).to_be_hidden()
    page.get_by_role("button", name="Ready 0").click()
    expect(page.get_by_text("No machine matches")).to_be_visible()
    page.get_by_role("button", name="Show all machines").click()
    expect(page.locator("#rows .fleet-row")).to_have_count(100)


def test_one_machine_is_found_by_its_address(fleet: str, tab: OpenTab) -> None:
    page = tab(fleet)
    page.get_by_role("searchbox", name="Search machines").fill("10177")
    expect(page.locator("#rows .fleet-row")).to_have_count(1)
    assert page.locator("#rows .run-said").get_attribute("title") == "ssh -p 10177 root@host2.invalid"
    assert page.url.endswith("?q=10177")
    page.locator("#rows .run-said").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for its turn")


@pytest.mark.parametrize("look", LOOKS)
def test_it_can_be_used_by_everybody(fleet: str, browser: Browser, look: str) -> None:
    with browser.new_context(**LOOKS[look]) as context:
        page = context.new_page()
        page.goto(fleet)
        expect(page.locator("#rows .fleet-row")).to_have_count(100)
        expect(page.locator("#needs .fleet-row")).to_have_count(1)
        assert faults(page) == []
