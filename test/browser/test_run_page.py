"""The page of a run with a real service and a stand-in: what happens there is seen here, whatever comes between."""

from __future__ import annotations

import re
import threading

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.standin.git_rules import PRIVATE, SERVED, RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.browser.conftest import Complaints, OpenTab
from test.browser.run_page import END, SHIFTS, choose, downloaded, row, sentence
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
PARTIAL = "2 of 3 node packs ready, 1 failed"


def test_it_works(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, heavy: threading.Event
) -> None:
    """A row moves; the failed one says why, and its log with it; the end is one sentence with what helps."""
    task_id = service.install(standin, manifest={"urls": urls})
    page = tab(f"{service.url}/ui/run/{task_id}")
    downloaded(page, "heavy")
    expect(page).to_have_title(re.compile(r"^\d+ % · .+ · Nodeferry$"))
    expect(row(page, "gone")).to_contain_text("The repository does not exist")
    row(page, "gone").click()
    expect(page.locator("#log")).to_contain_text("not found")
    assert "pack=gone" in page.url
    expect(row(page, "gone")).to_have_attribute("aria-current", "true")
    heavy.set()
    expect(sentence(page)).to_have_text(PARTIAL, timeout=END)
    expect(page.locator("[data-segment=failed] b")).to_have_text("1")
    expect(page).to_have_title(re.compile("^! · "))
    page.reload()
    expect(page.locator("#log")).to_contain_text("not found")
    page.get_by_role("button", name="Close the log").click()
    expect(page.locator("#needs")).to_contain_text("Check")
    assert "pack=" not in page.url


def test_a_reload_in_the_middle_restores_the_state_at_once(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, heavy: threading.Event
) -> None:
    """No sentence or row that is not the run's own is ever painted; a second tab shows the same."""
    task_id = service.install(standin, manifest={"urls": urls})
    page = tab(f"{service.url}/ui/run/{task_id}")
    before = downloaded(page, "heavy", above=5)
    page.add_init_script(
        """globalThis.painted = [];
        const look = () => {
            if (document.querySelector("#announcer"))
                painted.push([document.querySelector("h1").textContent, document.querySelectorAll("#rows li").length,
                              document.querySelector("[data-ref=machine]").textContent.length > 0]);
            if (painted.length < 20) requestAnimationFrame(look);
        };
        requestAnimationFrame(look);"""
    )
    page.reload()
    page.wait_for_function("() => painted.length >= 20")
    for said, rows, named in page.evaluate("painted"):
        assert (said.startswith("Downloading 3 node packs"), rows in (0, 3), named) == (True, True, True)
    assert page.evaluate("painted.at(-1)[1]") == 3
    downloaded(page, "heavy", above=before - 1)
    heavy.set()
    other = tab(f"{service.url}/ui/task/{task_id}")
    for one in (page, other):
        expect(sentence(one)).to_have_text(PARTIAL, timeout=END)


def test_stop_asks_first_and_is_seen_in_every_tab(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, heavy: threading.Event
) -> None:
    """A no changes nothing; a yes ends the run on the instance too, and another tab shows it."""
    task_id = service.install(standin, manifest={"urls": urls})
    page, other = (tab(f"{service.url}/ui/run/{task_id}") for _ in range(2))
    downloaded(page, "heavy")
    downloaded(other, "heavy")
    choose(page, "Stop")
    page.get_by_role("dialog").get_by_role("button", name="No, go back").click()
    assert service.progress(task_id)["state"] == "running"
    choose(page, "Stop")
    page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    for one in (page, other):
        expect(sentence(one)).to_contain_text("Stopped", timeout=END)
    assert service.progress(task_id)["state"] == "cancelled"


def test_a_retry_goes_on_on_the_same_page(
    service: ServiceProcess, standin: StandIn, urls: list[str], git_server: GitServer, tab: OpenTab
) -> None:
    """As a chapter of its own; the rows and the bar stay those of the whole run, and Back shows no other page."""
    git_server.set_rule("o/gone", PRIVATE)
    task_id = service.install(standin, manifest={"urls": urls[1:]})
    page = tab(f"{service.url}/ui/run/{task_id}")
    expect(sentence(page)).to_have_text("1 of 2 node packs ready, 1 failed", timeout=END)
    make_pack(git_server, "o", "gone")
    git_server.set_rule("o/gone", SERVED)
    page.evaluate("globalThis.isSame = true")
    page.locator("#needs").get_by_role("button", name="Retry it").click()
    expect(sentence(page)).to_have_text("All 2 node packs are ready", timeout=END)
    assert page.evaluate("globalThis.isSame")
    expect(page.locator("#rows li")).to_have_count(2)
    expect(page.locator("[data-segment=ready] b")).to_have_text("2")
    page.locator(".steps a", has_text="Install").click()
    expect(sentence(page)).to_have_text("1 of 2 node packs ready, 1 failed")
    page.reload()
    expect(sentence(page)).to_have_text("1 of 2 node packs ready, 1 failed")
    page.get_by_role("button", name="Show the whole run").click()
    expect(sentence(page)).to_have_text("All 2 node packs are ready")
    page.go_back()
    expect(sentence(page)).to_have_text("1 of 2 node packs ready, 1 failed")


def test_a_service_that_was_killed_is_a_banner_that_heals_itself(
    service: ServiceProcess,
    standin: StandIn,
    urls: list[str],
    tab: OpenTab,
    *,
    complaints: Complaints,
    heavy: threading.Event,
) -> None:
    """The page stays as it is meanwhile, and goes on by itself when the service is back at the same address."""
    complaints.expected.append("net::ERR_")  # refused, or cut in the middle of an answer
    task_id = service.install(standin, manifest={"urls": urls})
    page = tab(f"{service.url}/ui/run/{task_id}")
    downloaded(page, "heavy")
    port = int(service.url.rsplit(":", 1)[1])
    service.kill()
    expect(page.locator("#banner")).to_contain_text("Nodeferry")
    expect(page.locator("#rows li")).to_have_count(3)
    service.start(port)
    expect(page.locator("#banner")).to_be_hidden()
    heavy.set()
    expect(sentence(page)).to_have_text(PARTIAL, timeout=END)


def test_put_back_says_what_was_removed(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab
) -> None:
    """It asks first, runs as a chapter of the page, and offers no retry after it."""
    task_id = service.install(standin, manifest={"urls": urls[1:2]})
    page = tab(f"{service.url}/ui/run/{task_id}")
    expect(sentence(page)).to_have_text("The node pack is ready", timeout=END)
    choose(page, "Put back as before")
    page.get_by_role("dialog").get_by_role("button", name="Put back").click()
    expect(sentence(page)).to_have_text("Everything is put back: 1 node pack removed", timeout=END)
    expect(page.locator(".steps")).to_contain_text("Put back")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)


def test_the_keyboard_leads_through_the_rows(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab
) -> None:
    """One Tab stop for all rows, arrows between them, Enter for the log, Escape in the search, and back to the row."""
    task_id = service.install(standin, manifest={"urls": urls[1:]})
    service.ended(task_id)
    page = tab(f"{service.url}/ui/run/{task_id}")
    expect(page.locator("#rows li")).to_have_count(2)
    assert page.locator('#rows [tabindex="0"]').count() == 1
    page.keyboard.press("/")
    page.keyboard.type("nothing is like that")
    expect(page.get_by_text("No node pack is like that.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(row(page, "light")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(row(page, "gone")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#log")).to_contain_text("not found")
    page.get_by_role("button", name="Close the log").press("Enter")
    expect(row(page, "gone")).to_be_focused()


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["wide", "phone"])
def test_nothing_jumps_while_packs_are_installed(
    service: ServiceProcess, standin: StandIn, git_server: GitServer, context: BrowserContext, size: tuple[int, int]
) -> None:
    """Rows come and change, words and buttons come and go: all shifts of a run together stay in half of what
    https://web.dev/articles/cls calls good (0.1). Rows keep the list's order."""
    packs = [make_pack(git_server, "o", f"pack-{number}", payload_bytes=200_000) for number in range(20)]
    for made in packs:
        git_server.set_rule(made.repo, RepoRule(bytes_per_second=150_000))
    context.add_init_script(SHIFTS)
    urls = [f"{git_server.url}/o/gone", *(made.url for made in packs)]
    task_id = service.install(standin, manifest={"urls": urls})
    page = context.new_page()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{service.url}/ui/run/{task_id}")
    expect(page.locator("#rows li")).to_have_count(21)
    before = _names(page)
    expect(sentence(page)).to_have_text("20 of 21 node packs ready, 1 failed", timeout=END)
    assert _names(page) == before
    assert page.evaluate("shifts.reduce((sum, value) => sum + value, 0)") < 0.05


def _names(page: Page) -> list[str]:
    return page.locator("#rows .pack-name").all_inner_texts()


def test_another_key_of_the_machine_is_a_question_alone(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab
) -> None:
    """Both fingerprints, the older one with its date, and no answer has the focus; a yes goes on."""
    asked = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home)}
    assert service.post("/ssh/test", asked).json()["success"]
    before = standin.host_key_sha256
    standin.stop_sshd()
    standin.change_host_key()
    standin.start_sshd()
    started = service.post("/workflow/start", {**asked, "manifest": {"urls": urls[1:2]}})
    page = tab(f"{service.url}/ui/run/{started.json()['workflow_id']}")
    question = page.locator("#question")
    expect(question).to_contain_text(standin.host_key_sha256)
    expect(question).to_contain_text(before)
    expect(page).to_have_title(re.compile(r"^\? · "))
    expect(page.locator("#head")).to_be_hidden()
    expect(question.get_by_role("heading")).to_be_focused()
    question.get_by_role("button", name="trust its key").click()
    expect(question).to_be_hidden()
    expect(sentence(page)).to_have_text("The node pack is ready", timeout=END)


def test_what_goes_wrong_stays_beside_its_button(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, complaints: Complaints
) -> None:
    """Until something else is tried."""
    complaints.expected.append("409")
    task_id = service.install(standin, manifest={"urls": urls[1:]})
    service.ended(task_id)
    page = tab(f"{service.url}/ui/run/{task_id}")
    expect(sentence(page)).to_contain_text("1 failed")
    page.route("**/restart", lambda route: route.continue_(url=route.request.url.replace("/restart", "/repair")))
    choose(page, "Restart ComfyUI")
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    said = page.locator("#head [role=alert]")
    expect(said).to_be_visible()
    expect(said).not_to_be_empty()
    page.unroute("**/restart")
    choose(page, "Copy as a command line")
    expect(said).to_be_hidden()
