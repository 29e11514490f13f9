"""The page of a run in each state in which it can be, played on a stage: what is true, what to do, rows at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.protocol.events import ManifestRead, NodeChanged
from app.protocol.manifest import NodePack
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState
from test.browser.conftest import Complaints, OpenTab
from test.browser.run_page import choose, sentence
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
    "planned": ("Plan only: nothing was changed", "Install"),
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


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One service for all runs that have ended."""
    with Stage(tmp_path_factory.mktemp("past")) as opened:
        yield opened


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
def test_each_end_says_what_is_true_and_has_its_own_button(past: Stage, tab: OpenTab, state: str) -> None:
    """Where there are rows they begin at the same height as while it ran, and nothing of the run is live."""
    said, primary = ENDS[state]
    page = run_page(past, tab, show(past, state, 34))
    expect(sentence(page)).to_contain_text(said)
    expect(page.locator("#head .primary")).to_have_text([primary])
    if state != "no_comfyui":
        assert top_of(page) <= 200
        assert rows_in_view(page) >= 16
    assert page.locator("[data-state=runs]").count() == 0


def test_the_other_ends_do_too(past: Stage, tab: OpenTab) -> None:
    """What was not proven, what went wrong late, and what a restart has shown."""
    page = run_page(past, tab, show(past, "unchecked", 34))
    for state, (said, primary) in MORE_ENDS.items():
        page.goto(f"{past.url}/ui/run/{show(past, state, 34)}")
        expect(sentence(page)).to_contain_text(said)
        expect(page.locator("#head .primary")).to_have_text([primary])


def test_a_plan_shows_the_packs_that_would_fail(stage: Stage, tab: OpenTab) -> None:
    """In its sentence, in their rows and by their causes; nothing of it is tried again, since nothing was installed."""
    page = run_page(stage, tab, show(stage, "planned_failed", 34))
    expect(sentence(page)).to_have_text("Plan only: nothing was changed. 2 of 34 node packs would not work")
    expect(page.locator('.packs [data-standing="failed"]')).to_have_count(2)
    expect(page.locator('.packs [data-standing="skipped"] .pack-word').first).to_have_text("Planned")
    expect(page.locator("#needs .need")).not_to_have_count(0)
    expect(page.locator("#needs").get_by_role("button", name=re.compile("Retry"))).to_have_count(0)


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)], ids=["wide", "phone"])
def test_an_end_without_packs_keeps_no_empty_places(stage: Stage, tab: OpenTab, size: tuple[int, int]) -> None:
    """Neither for the bar nor for a search; why it ended is said once, and its log is a button away."""
    page = run_page(stage, tab, show(stage, "no_comfyui", 34))
    page.set_viewport_size({"width": size[0], "height": size[1]})
    expect(page.locator(".seg")).to_be_hidden()
    expect(page.locator(".run-search")).to_be_hidden()
    expect(page.get_by_text("Name its folder", exact=False).and_(page.locator(":visible"))).to_have_count(1)
    more = page.locator(".wait").get_by_role("link", name="Change address or options")
    expect(more).to_have_attribute("href", re.compile(r"/\?from=.*#options$"))
    page.locator(".wait").get_by_role("button", name="Log").click()
    expect(page.get_by_role("button", name="Close the log")).to_be_visible()


def test_what_a_run_waits_for_is_said_once(stage: Stage, tab: OpenTab) -> None:
    """Below the head, beside what can be done about it; whose turn it is leads to the other install."""
    page = run_page(stage, tab, show(stage, "queued", 34))
    expect(page.locator("#head [data-ref=detail]")).to_be_empty()
    page.get_by_role("link", name="See the other install").click()
    expect(page.locator("#rows > *").first).to_be_visible()


def test_install_again_brings_the_list_and_the_machine(stage: Stage, tab: OpenTab) -> None:
    """To the start page, as that run had them."""
    page = run_page(stage, tab, show(stage, "put_back", 5))
    page.get_by_role("button", name="Install again").click()
    expect(page.get_by_role("radio", name="As in that run")).to_be_checked()
    expect(page.locator("#list-count")).to_have_text("5 of 5 chosen")
    expect(page.locator("#ssh")).to_have_value(re.compile("^ssh -p "))


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
    expect(wait.get_by_role("link", name="Change the address")).to_have_attribute(
        "href", re.compile(r"/\?from=.*&ssh=ssh")
    )
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


def test_causes_stand_together_with_what_helps(past: Stage, tab: OpenTab) -> None:
    """As many as the service counts; a click on a pack opens its log at the line that decided it."""
    page = run_page(past, tab, show(past, "partial", 34))
    expect(page.get_by_role("button", name=re.compile("^Needs you"))).to_have_text("Needs you 4")
    needs = page.locator("#needs .need")
    expect(needs).to_have_count(4)
    expect(needs.first.locator("code")).to_contain_text("git config")
    needs.first.locator(".link").first.click()
    expect(page.locator("#log .log-line[data-deciding], #log [data-deciding]").first).to_be_visible()


def test_the_bar_filters_the_rows_in_place(past: Stage, tab: OpenTab) -> None:
    """By the standing that the service says; the rows keep their order, and a second press shows all."""
    page = run_page(past, tab, show(past, "partial", 34))
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


def test_a_run_that_is_not_known_is_said_in_words(past: Stage, browser: Browser) -> None:
    """Where the page cannot know before a login either."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{past.url}/ui/run/00000000-0000-4000-8000-000000000000")
        expect(page.get_by_role("heading", level=1)).to_contain_text("not known")


def test_a_pack_of_the_registry_has_its_version_and_a_whole_download(stage: Stage, tab: OpenTab) -> None:
    packs = [NodePack(name, "", registry_id=name, version="8.1.0") for name in ("impact", "lost")]
    task = stage.live(scenario(1), until="probed")
    stage.emit(task, ManifestRead("urls", tuple(packs)))
    stage.emit(task, NodeChanged("impact", NodeState.CLONING), NodeChanged("impact", NodeState.CLONED))
    stage.emit(task, NodeChanged("lost", NodeState.FAILED, Problem("archive_unsafe", "It leaves its folder.")))
    page = tab(f"{stage.url}/ui/run/{task}")
    row = page.locator("#rows li")
    expect(row.first.locator(".pack-name")).to_have_text("impact 8.1.0")
    expect(row.first.locator(".pack-track i").first).to_have_attribute("data-state", "done")
    expect(row.last.locator(".pack-track i").first).to_have_attribute("data-state", "failed")
