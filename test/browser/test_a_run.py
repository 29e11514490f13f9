"""An install in the browser, from the pasted command to its end and what comes after."""

from __future__ import annotations

import re
import threading

import pytest
from playwright.sync_api import BrowserContext, FilePayload, Locator, Page, expect

from app.standin.git_rules import SERVED, RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.browser.conftest import Complaints, OpenTab, fill_in, trust
from test.support.service import ServiceProcess
from test.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
END = 60_000


def pack(page: Page, name: str) -> Locator:
    return page.locator(f'.pack[data-key="{name}"]')


def percent_of(page: Page, name: str) -> int:
    """What the row of a pack that is being cloned says; -1 when it says nothing."""
    said = re.search(r"cloning (\d+) %", pack(page, name).inner_text())
    return int(said[1]) if said else -1


def seen(page: Page, name: str, *, above: int = 0) -> int:
    """Waits until the page shows that the pack's clone has come further than `above` percent."""
    page.wait_for_function(
        """([name, above]) => {
            const said = document.querySelector(`.pack[data-key="${name}"] .pack-what`)?.textContent ?? "";
            return Number(/cloning (\\d+) %/.exec(said)?.[1] ?? -1) > above;
        }""",
        arg=[name, above],
        timeout=END,
    )
    return percent_of(page, name)


def test_it_works(service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab) -> None:
    """Paste, test, choose, install; rows move; the failed one says why and what to do; the end is one sentence."""
    page = tab(service.url)
    heavy, light, gone_url = urls
    file = FilePayload(name="packs.txt", mimeType="text/plain", buffer=f"# mine\n{heavy}\n- {light}\n".encode())
    page.get_by_role("radio", name="File").check()
    page.locator("#file").set_input_files(file)
    expect(page.locator("#list-rows label")).to_have_count(2)
    fill_in(
        page, standin, [f"git clone --depth 1 {heavy}", f"- [light]({light}/tree/main/docs?tab=readme)", f"{gone_url},"]
    )
    page.get_by_role("button", name="Install", exact=True).click()
    first = seen(page, "heavy")
    assert seen(page, "heavy", above=first) > first
    expect(page).to_have_title(re.compile(r"^\d+ % · root@127"))
    gone = pack(page, "gone")
    expect(gone).to_contain_text("The repository does not exist")
    gone.get_by_role("button", name="Details of gone").click()
    expect(gone).to_contain_text("Check the repository's address")
    expect(gone.locator("pre.log")).to_contain_text("not found")
    summary = page.locator("[data-ref=summary]")
    expect(summary).to_contain_text("2 node packs load in ComfyUI, 1 failed.", timeout=END)
    expect(page).to_have_title(re.compile("^! · "))
    expect(page.get_by_role("button", name="Open ComfyUI")).to_be_visible()
    page.goto(service.url)
    expect(page.locator("[name=source]").first).to_have_value("last")
    expect(page.locator("#list-rows label")).to_have_count(3)


def test_a_reload_in_the_middle_restores_the_state_at_once(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, heavy: threading.Event
) -> None:
    """No percent, word or row that is not the run's own is ever painted; a second tab shows the same."""
    task_id = service.install(standin, manifest={"urls": urls})
    page = tab(f"{service.url}/ui/task/{task_id}")
    before = seen(page, "heavy", above=5)
    page.add_init_script(
        """globalThis.painted = [];
        const look = () => {
            const percent = document.querySelector("[data-ref=percent]");
            if (percent && document.body.querySelector("footer"))
                painted.push([percent.textContent, document.querySelector("[data-ref=state]").textContent,
                              document.querySelectorAll(".pack").length, document.querySelector("h1").textContent]);
            if (painted.length < 20) requestAnimationFrame(look);
        };
        requestAnimationFrame(look);"""
    )
    page.reload()
    page.wait_for_function("() => painted.length >= 20")
    for percent, state, packs, title in page.evaluate("painted"):
        assert (int(percent.split()[0]) > 0, state, packs, title.startswith("root@")) == (True, "running", 3, True)
    assert seen(page, "heavy", above=before) > before
    heavy.set()
    other = tab(f"{service.url}/ui/task/{task_id}")
    for one in (page, other):
        expect(one.locator("[data-ref=summary]")).to_contain_text("1 failed.", timeout=END)


def test_stop_asks_first_and_the_page_says_stopped(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, heavy: threading.Event
) -> None:
    """A no changes nothing; a yes ends the run on the instance too."""
    task_id = service.install(standin, manifest={"urls": urls})
    page = tab(f"{service.url}/ui/task/{task_id}")
    seen(page, "heavy")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="No, go back").click()
    assert service.progress(task_id)["state"] == "running"
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    expect(page.locator("[data-ref=state]")).to_have_text("stopped", timeout=END)
    assert service.progress(task_id)["state"] == "cancelled"


def test_retry_failed_takes_the_failed_one_alone(
    service: ServiceProcess, standin: StandIn, urls: list[str], git_server: GitServer, tab: OpenTab
) -> None:
    """On a page of its own, which ends well once the repository is there."""
    task_id = service.install(standin, manifest={"urls": urls[1:]})
    page = tab(f"{service.url}/ui/task/{task_id}")
    expect(page.locator("[data-ref=summary]")).to_contain_text("1 failed.", timeout=END)
    make_pack(git_server, "o", "gone")
    git_server.set_rule("o/gone", SERVED)
    page.get_by_role("button", name="Retry 1 failed").click()
    page.wait_for_url(lambda address: "/ui/task/" in address and task_id not in address)
    expect(page.locator("[data-ref=summary]")).to_contain_text("The node pack loads in ComfyUI.", timeout=END)
    expect(page.locator(".pack")).to_have_count(1)


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
    page = tab(f"{service.url}/ui/task/{task_id}")
    seen(page, "heavy")
    port = int(service.url.rsplit(":", 1)[1])
    service.kill()
    banner = page.locator("#banner")
    expect(banner).to_contain_text("Nodeferry does not answer")
    expect(page.locator(".pack")).to_have_count(3)
    service.start(port)
    expect(banner).to_contain_text("Nodeferry answers again")
    expect(banner).to_be_hidden()
    heavy.set()
    expect(page.locator("[data-ref=summary]")).to_contain_text("1 failed.", timeout=END)


def test_the_question_about_a_changed_host_key_is_answered_on_the_page(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab
) -> None:
    """It names the new fingerprint; a yes goes on with the workflow."""
    asked: dict[str, object] = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home)}
    assert service.post("/ssh/test", asked).json()["success"]
    standin.stop_sshd()
    standin.change_host_key()
    standin.start_sshd()
    asked |= {"manifest": {"urls": urls[1:2]}}
    workflow_id = service.post("/workflow/start", asked).json()["workflow_id"]
    page = tab(f"{service.url}/ui/workflow/{workflow_id}")
    question = page.get_by_role("alertdialog")
    expect(question).to_contain_text(standin.host_key_sha256)
    expect(question.get_by_role("button").first).to_be_focused()
    question.get_by_role("button").first.click()
    expect(question).to_be_hidden()
    expect(page.locator("[data-ref=summary]")).to_contain_text("The node pack loads in ComfyUI.", timeout=END)


def test_the_keyboard_is_enough_from_the_start_to_the_run(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab
) -> None:
    """By Tab, Space, arrows and Enter alone, and what has the focus can be seen on all the way."""
    page = tab(service.url)

    def reach(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = "document.activeElement"
            seen_in = f"{focused}.matches('[name=source]') ? {focused}.nextSibling : {focused}"
            assert page.evaluate(f"getComputedStyle({seen_in}).outlineStyle") != "none"
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"Tab does not lead to {selector}")

    expect(page.locator("#ssh")).to_be_focused()
    page.keyboard.type(standin.ssh_command)
    reach("[name=source]")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[name=source]:checked")).to_have_value("urls")
    reach("#urls")
    page.keyboard.type(urls[0])
    expect(page.locator("#list-rows label")).to_have_count(1)
    reach("summary")
    page.keyboard.press("Enter")
    reach("#ui-home")
    page.keyboard.type(str(standin.ui_home))
    reach("#existing")
    trust(page)
    reach("#go")
    page.keyboard.press("Enter")
    seen(page, "heavy")
    reach('[role="tab"]')
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Timeline")).to_be_focused()
    expect(page.locator("#panel-timeline")).to_be_visible()


def test_two_tabs_of_one_run_show_the_same_and_only_one_streams(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, heavy: threading.Event
) -> None:
    """A stop in one is seen in the other."""
    task_id = service.install(standin, manifest={"urls": urls})
    one, other = (tab(f"{service.url}/ui/task/{task_id}") for _ in range(2))
    seen(one, "heavy")
    seen(other, "heavy")
    one.get_by_role("button", name="Stop").click()
    one.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    expect(other.locator("[data-ref=state]")).to_have_text("stopped", timeout=END)
    wait_until(lambda: service.progress(task_id)["state"] == "cancelled", 20, "it is cancelled")


SHIFTS = """globalThis.shifts = [];
new PerformanceObserver((list) => shifts.push(...list.getEntries().map((entry) => entry.value)))
    .observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["wide", "phone"])
def test_nothing_jumps_while_packs_are_polled(
    service: ServiceProcess, standin: StandIn, git_server: GitServer, context: BrowserContext, size: tuple[int, int]
) -> None:
    """Rows come and change, words and buttons come and go: all shifts of a run together stay in half of what
    https://web.dev/articles/cls calls good (0.1)."""
    packs = [make_pack(git_server, "o", f"pack-{number}", payload_bytes=200_000) for number in range(20)]
    for pack_made in packs:
        git_server.set_rule(pack_made.repo, RepoRule(bytes_per_second=150_000))
    context.add_init_script(SHIFTS)
    task_id = service.install(standin, manifest={"urls": [f"{git_server.url}/o/gone", *(made.url for made in packs)]})
    page = context.new_page()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{service.url}/ui/task/{task_id}")
    expect(page.locator("[data-ref=summary]")).to_contain_text("1 failed.", timeout=END)
    assert page.evaluate("shifts.reduce((sum, value) => sum + value, 0)") < 0.05
