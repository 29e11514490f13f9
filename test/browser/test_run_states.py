"""The page of a run in each state in which it can be, played on a stage: what is true, what to do, rows at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from test.browser.conftest import Complaints, OpenTab
from test.browser.run_page import choose, sentence
from test.browser.test_accessibility import LOOKS, faults
from test.support.stage import Stage, scenario
from test.support.stage.states import show

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
ENDS = {
    "ready": ("All 34 node packs are ready", "Restart ComfyUI"),
    "partial": ("29 of 34 node packs ready, 3 failed", "Retry"),
    "nothing": ("None of the 34 node packs could be installed", "Retry"),
    "stopped": ("Stopped; ", "Retry"),
    "put_back": ("Everything is put back: 34 node packs removed", "Install again"),
    "no_comfyui": ("There is no ComfyUI in the usual places.", "Retry"),
    "planned": ("Plan only: nothing was changed", "Install again"),
    "repairable": ("31 of 34 node packs ready, 3 failed", "Use these versions"),
}


MORE_ENDS = {
    "problems": ("31 of 34 node packs ready, 3 with a problem", "Retry"),
    "unchecked": ("All 34 node packs are ready", "Restart ComfyUI"),
    "failed": ("The disk of /workspace is full", "Retry"),
    "lost": ("The install was killed on the machine; what was done there stays", "Retry"),
    "put_back_incomplete": ("Not everything could be put back", "Put back as before"),
    "restarted": ("ComfyUI was restarted and loads all 34 node packs", "Open ComfyUI"),
    "restarted_without": ("ComfyUI was restarted, but it does not load all of the node packs", "Open ComfyUI"),
    "restart_failed": ("ComfyUI was not restarted", "Restart ComfyUI"),
}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A service that knows nothing yet."""
    with Stage(tmp_path) as opened:
        yield opened


def run_page(stage: Stage, tab: OpenTab, run_id: str) -> Page:
    page = tab(f"{stage.url}/ui/run/{run_id}")
    page.set_viewport_size({"width": 1440, "height": 900})
    expect(page.locator("#head")).not_to_have_attribute("data-kind", "")
    return page


@pytest.mark.parametrize("state", ENDS)
def test_each_end_says_what_is_true_and_has_its_own_button(stage: Stage, tab: OpenTab, state: str) -> None:
    """Where there are rows they begin at the same height as while it ran, and nothing of the run is live."""
    said, primary = ENDS[state]
    page = run_page(stage, tab, show(stage, state, 34))
    expect(sentence(page)).to_contain_text(said)
    expect(page.locator("#head .primary")).to_have_text([primary])
    if state != "no_comfyui":
        assert top_of(page) <= 200
        assert rows_in_view(page) >= 16
    assert page.locator("[data-state=runs]").count() == 0


def test_the_other_ends_do_too(stage: Stage, tab: OpenTab) -> None:
    """What was not proven, what went wrong late, and what a restart has shown."""
    page = run_page(stage, tab, show(stage, "unchecked", 34))
    for state, (said, primary) in MORE_ENDS.items():
        page.goto(f"{stage.url}/ui/run/{show(stage, state, 34)}")
        expect(sentence(page)).to_contain_text(said)
        expect(page.locator("#head .primary")).to_have_text([primary])


def test_while_it_runs_sixteen_rows_are_seen(stage: Stage, browser: Browser, complaints: Complaints) -> None:
    """On a laptop; on a phone the first one is on the first screen; nothing is wider than any window."""
    run_id = show(stage, "cloning", 34)
    with browser.new_context() as context:
        page = context.new_page()
        complaints.watch(page)
        for width, height in ((1440, 900), (390, 844), (320, 640), (640, 900), (720, 450), (768, 1024), (1024, 768)):
            page.set_viewport_size({"width": width, "height": height})
            page.goto(f"{stage.url}/ui/run/{run_id}")
            expect(page.locator("#rows li")).to_have_count(34)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            if width == 1440:
                assert (top_of(page) <= 200, rows_in_view(page) >= 16) == (True, True)
            if width == 390:
                assert rows_in_view(page) >= 4


def top_of(page: Page) -> float:
    found: float = page.locator("#rows li").first.evaluate("(row) => row.getBoundingClientRect().top")
    return found


def rows_in_view(page: Page) -> int:
    count = """() => [...document.querySelectorAll("#rows li")].filter((row) => {
        const { top, bottom } = row.getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
    }).length"""
    found: int = page.evaluate(count)
    return found


def test_what_is_old_is_not_shown_as_live(stage: Stage, tab: OpenTab) -> None:
    """Of a clone that stands still no speed and no time is shown, also where the machine answers."""
    page = run_page(stage, tab, show(stage, "stalled", 34))
    said = page.locator(".pack-what", has_text="downloading")
    expect(said.first).to_have_text(re.compile(r"^downloading \d+ %, no data for 3 min$"))
    assert page.get_by_text(re.compile(r"[kM]B/s")).count() == 0


def test_a_cut_line_is_tried_again_now(stage: Stage, tab: OpenTab) -> None:
    """It says that the install goes on there, and when the next try is; the button waits for nothing."""
    run_id = show(stage, "cut", 34)
    page = run_page(stage, tab, run_id)
    expect(sentence(page)).to_have_text("The line to the machine is cut; the install goes on there")
    expect(page.locator("[data-ref=left]")).to_have_text(re.compile(r"^Try(ing| \d+ in)"))
    assert page.get_by_text(re.compile(r"[kM]B/s")).count() == 0
    stage.machine_of(run_id).mend()
    choose(page, "Try now")
    expect(sentence(page)).to_contain_text("Downloading", timeout=10_000)


def test_a_machine_that_does_not_answer_is_waited_for(stage: Stage, tab: OpenTab) -> None:
    """In words what to do, the next try, and buttons to try, change and stop."""
    page = run_page(stage, tab, show(stage, "waiting", 34))
    expect(page.get_by_role("heading", name="What you can do")).to_be_visible()
    wait = page.locator(".wait")
    for name in ("Try now", "Stop"):
        expect(wait.get_by_role("button", name=name)).to_be_visible()
    expect(wait.get_by_role("link", name="Change the address")).to_have_attribute("href", re.compile(r"/\?ssh=ssh"))
    expect(wait).to_contain_text("A machine that you have just rented needs a few minutes")


def test_a_long_build_can_be_skipped(stage: Stage, tab: OpenTab) -> None:
    """While it runs what needs somebody stays folded; then the service knows of the skip."""
    run_id = show(stage, "building", 34)
    page = run_page(stage, tab, run_id)
    expect(page.locator("#needs")).to_be_hidden()
    page.get_by_role("button", name=re.compile("^Needs you")).click()
    page.get_by_role("button", name="Skip this build").click()
    expect(page.get_by_role("button", name="Skip this build")).to_have_count(0)
    assert [build["skip_requested"] for build in stage.service.progress(run_id)["builds"]] == [True]


def test_causes_stand_together_with_what_helps(stage: Stage, tab: OpenTab) -> None:
    """As many as the service counts; a click on a pack opens its log at the line that decided it."""
    page = run_page(stage, tab, show(stage, "partial", 34))
    expect(page.get_by_role("button", name=re.compile("^Needs you"))).to_have_text("Needs you 4")
    needs = page.locator("#needs .need")
    expect(needs).to_have_count(4)
    expect(needs.first.locator("code")).to_contain_text("git config")
    needs.first.locator(".link").first.click()
    expect(page.locator("#log .log-line[data-deciding], #log [data-deciding]").first).to_be_visible()


def test_the_bar_filters_the_rows_in_place(stage: Stage, tab: OpenTab) -> None:
    """By the standing that the service says; the rows keep their order, and a second press shows all."""
    page = run_page(stage, tab, show(stage, "partial", 34))
    names = page.locator("#rows .pack-name").all_inner_texts()
    failed = page.locator(".seg-keys [data-segment=failed]")
    failed.click()
    expect(failed).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#rows li:visible")).to_have_count(3)
    failed.click()
    expect(page.locator("#rows li:visible")).to_have_count(34)
    assert page.locator("#rows .pack-name").all_inner_texts() == names


def test_only_rows_whose_pack_has_news_are_touched(stage: Stage, tab: OpenTab) -> None:
    """Of all packs, when one is downloaded further."""
    played = scenario(60)
    run_id = stage.live(played, until="half")
    page = run_page(stage, tab, run_id)
    expect(page.locator("#rows li")).to_have_count(60)
    page.evaluate(
        """globalThis.touched = new Set();
        new MutationObserver((changes) => changes.forEach(({ target }) => {
            const row = (target.nodeType === 1 ? target : target.parentElement).closest("#rows li");
            if (row) touched.add(row.dataset.key);
        })).observe(document.querySelector("#rows"), {
            subtree: true, childList: true, characterData: true, attributes: true });"""
    )
    before = stage.service.progress(run_id)
    stage.play(run_id, played.until("half") + 1.0)
    after = stage.service.progress(run_id)
    moved = {one["name"] for one, other in zip(after["nodes"], before["nodes"], strict=True) if one != other}
    page.wait_for_function("() => touched.size > 0")
    silent = {one["name"] for one in after["nodes"] if one["state"] == "cloning"}
    assert set(page.evaluate("[...touched]")) <= moved | silent
    assert len(moved | silent) < 55


@pytest.mark.timeout(300)
def test_no_state_has_a_serious_fault(stage: Stage, browser: Browser, complaints: Complaints) -> None:
    """By axe, in light, dark and on a phone."""
    ids = [show(stage, state, 12) for state in ("cloning", "partial", "waiting", "question", "no_comfyui", "put_back")]
    wrong = []
    for look, options in LOOKS.items():
        with browser.new_context(**options) as context:
            page = context.new_page()
            complaints.watch(page)
            for run_id in ids:
                page.goto(f"{stage.url}/ui/run/{run_id}")
                expect(page.get_by_role("heading", level=1).first).to_be_visible()
                wrong += [f"{look} {run_id} {fault}" for fault in faults(page)]
    assert wrong == []


def test_a_run_that_is_not_known_is_said_in_words(stage: Stage, browser: Browser) -> None:
    """Where the page cannot know before a login either."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{stage.url}/ui/run/00000000-0000-4000-8000-000000000000")
        expect(page.get_by_role("heading", level=1)).to_contain_text("not known")
