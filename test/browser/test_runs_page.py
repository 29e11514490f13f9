"""The page Runs: every run in one list, in the service's own sentence and counts; filters, compare, install again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from test.browser.conftest import Complaints, OpenTab
from test.browser.test_accessibility import LOOKS, faults
from test.support.stage import Stage, restart, scenario

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WIDTHS = (320, 390, 640, 720, 768, 1024)
HOUR = 3600.0
_SHARES = """(bar) => Object.fromEntries([...bar.children].filter((one) => !one.hidden)
  .map((one) => [one.dataset.standing, Number(one.style.getPropertyValue("--share"))]))"""
_IN_VIEW = "(rows) => rows.filter((row) => row.getBoundingClientRect().bottom <= innerHeight).length"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A service without runs."""
    with Stage(tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Past:
    """A service with ended runs: their ids by how they ended, the newest first."""

    stage: Stage
    runs: Mapping[str, str]

    @property
    def url(self) -> str:
        return self.stage.url


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """Runs that no test changes."""
    with Stage(tmp_path_factory.mktemp("past")) as stage:
        found = {
            "ready": stage.ended(scenario(5), ago=HOUR),
            "partial": stage.ended(scenario(5, failed=1), ago=2 * HOUR),
            "stopped": stage.ended(scenario(4, end="cancelled"), ago=3 * HOUR),
            "nothing": stage.ended(scenario(2, failed=2), ago=4 * HOUR, machine="ssh4.vast.ai"),
            "fleet": stage.ended_fleet(scenario(2), scenario(3), ago=5 * HOUR)[0],
            "restarted": stage.ended(scenario(3), ago=9 * HOUR),
        }
        stage.ended(restart(expected=3), ago=6 * HOUR, restart_of=found["restarted"])
        yield Past(stage, found)


def rows(page: Page) -> list[str]:
    """The ids of the runs that the page shows, from above."""
    expect(page.locator(".run-row[data-key]").first).to_be_visible()
    shown: list[str] = page.evaluate("[...document.querySelectorAll('#rows > li')].map((row) => row.dataset.key)")
    return shown


def row_of(page: Page, run_id: str) -> Locator:
    """The row of a run."""
    return page.locator(f".run-row[data-key='{run_id}']")


def choose(page: Page, run_id: str, item: str) -> None:
    """An item of a row's menu."""
    row_of(page, run_id).locator(".row-more").click()
    page.locator(".row-menu").get_by_text(item).click()


def test_every_run_is_a_row_in_the_service_s_own_words(past: Past, tab: OpenTab) -> None:
    """Newest first: sentence, list, counts in words and as a bar, machine, when, how long it has worked (the hours
    between an install and a restart are no work); a click opens it."""
    page = tab(f"{past.url}/ui/runs")
    told = past.stage.service.get("/runs")["runs"]
    assert [run["run_id"] for run in told] == list(past.runs.values())
    assert rows(page) == [run["run_id"] for run in told]
    for run in told:
        row = row_of(page, run["run_id"])
        counts = run["counts"]
        expect(row.locator(".run-said")).to_have_text(run["summary"]["sentence"])
        expect(row.locator(".run-what")).to_have_text(run["list"]["label"])
        expect(row.locator(".run-counts")).to_have_text(f"{counts['ready']} of {counts['total']} ready")
        expect(row.locator(".segments")).to_have_attribute("aria-label", re.compile(f"^{counts['ready']} of"))
        shares = row.locator(".segments").evaluate(_SHARES)
        assert shares == {name: n for name, n in counts.items() if n and name != "total"}
        expect(row.locator(".run-where")).to_have_text(run["machine"]["name"])
        expect(row.locator("time")).to_have_text(re.compile("ago|yesterday"))
        minutes, seconds = row.locator(".run-took").inner_text().split(":")
        assert 60 * int(minutes) + int(seconds) == int(run["seconds"]) < 600
    row_of(page, told[0]["run_id"]).click(position={"x": 700, "y": 18})
    page.wait_for_url(re.compile(told[0]["run_id"]))


def test_twenty_rows_are_seen_at_once_and_older_ones_come_by_a_button(stage: Stage, tab: OpenTab) -> None:
    """And no row of the list is lost or doubled on the way."""
    ids = [stage.ended(scenario(1), ago=HOUR * number) for number in range(1, 54)]
    page = tab(f"{stage.url}/ui/runs")
    page.set_viewport_size({"width": 1440, "height": 900})
    assert len(rows(page)) == 50
    assert page.locator("#rows > li").evaluate_all(_IN_VIEW) >= 20
    page.get_by_role("button", name="Older runs").click()
    expect(page.locator("#rows > li")).to_have_count(53)
    assert rows(page) == ids
    expect(page.get_by_role("button", name="Older runs")).to_be_hidden()


def test_filters_stand_in_the_address(past: Past, tab: OpenTab) -> None:
    """Chips, machine and search; a reload, Back and a link show the same; nothing found leads back to all."""
    found = past.runs
    page = tab(f"{past.url}/ui/runs")
    chip = page.get_by_role("group", name="Show").get_by_role("button")
    chosen = {"Ready": ["ready", "fleet", "restarted"], "With problems": ["partial", "nothing"], "Stopped": ["stopped"]}
    for name, wanted in chosen.items():
        chip.filter(has_text=name).click()
        expect(page.locator("#rows > li")).to_have_count(len(wanted))
        assert rows(page) == [found[each] for each in wanted]
    assert page.url.endswith("/ui/runs?state=stopped")
    page.reload()
    expect(chip.filter(has_text="Stopped")).to_have_attribute("aria-pressed", "true")
    assert rows(page) == [found["stopped"]]
    page.go_back()
    expect(chip.filter(has_text="With problems")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#rows > li")).to_have_count(2)
    page.get_by_label("Machine").select_option("ssh4:31822")
    expect(page.locator("#rows > li")).to_have_count(1)
    assert rows(page) == [found["nothing"]]
    page.get_by_label("Search runs").fill("no such thing")
    expect(page.get_by_text("No run matches")).to_be_visible()
    page.get_by_role("button", name="Show all runs").click()
    expect(page.locator("#rows > li")).to_have_count(len(found))
    assert page.url.endswith("/ui/runs")


def test_a_run_that_goes_on_changes_in_place(stage: Stage, tab: OpenTab) -> None:
    """Its row stays the same element at the same place; a run that begins while somebody points at a row waits."""
    old = stage.ended(scenario(3), ago=HOUR)
    live = stage.live(scenario(6), until="half")
    page = tab(f"{stage.url}/ui/runs?state=running")
    assert rows(page) == [live]
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.locator("#rows > li")).to_have_count(2)
    row = page.locator(f".run-row[data-key='{live}']")
    row.evaluate("(node) => { node.mine = true; }")
    row.hover(position={"x": 300, "y": 10})
    said = row.locator(".run-said").inner_text()
    other = stage.live(scenario(2), until="half")
    expect(page.get_by_role("button", name="1 new run")).to_be_visible()
    assert rows(page) == [live, old]
    stage.play(live, "end")
    expect(row.locator(".run-said")).not_to_have_text(said)
    expect(row.locator(".run-said")).to_have_text("All 6 node packs are ready")
    assert row.evaluate("(node) => node.mine")
    page.mouse.move(5, 5)
    expect(page.locator("#rows > li")).to_have_count(3)
    assert rows(page) == [other, live, old]


def test_two_runs_are_chosen_and_compared(past: Past, tab: OpenTab) -> None:
    """By their boxes, or from the menu; the page says in the same words which packs differ, and how many do not."""
    later, earlier = past.runs["ready"], past.runs["partial"]
    page = tab(f"{past.url}/ui/runs")
    for run_id in (later, earlier):
        row_of(page, run_id).locator("input").check()
    expect(page.locator(".run-row input:enabled")).to_have_count(2)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url(f"**/ui/compare?a={earlier}&b={later}")
    expect(page.locator(".side-said")).to_have_text(["4 of 5 node packs ready, 1 failed", "All 5 node packs are ready"])
    packs = page.get_by_role("table", name="Node packs")
    expect(packs.get_by_role("row")).to_have_count(2)
    expect(packs.get_by_role("cell").nth(1)).to_contain_text("Failed")
    expect(packs.get_by_role("cell").nth(2)).to_contain_text("Ready")
    expect(page.get_by_text("1 of 5 differ")).to_be_visible()
    page.go_back()
    choose(page, earlier, "Compare with another run")
    choose(page, later, "Compare with the chosen run")
    page.wait_for_url(f"**/ui/compare?a={earlier}&b={later}")


def test_compare_helps_when_it_has_nothing_to_compare(past: Past, tab: OpenTab, complaints: Complaints) -> None:
    complaints.expected += ["404"]
    page = tab(f"{past.url}/ui/compare")
    expect(page.get_by_text("Choose two runs to compare")).to_be_visible()
    page.get_by_role("link", name="Go to Runs").click()
    page.wait_for_url("**/ui/runs")
    unknown = "00000000-0000-4000-8000-000000000000"
    page.goto(f"{past.url}/ui/compare?a={unknown}&b={unknown}")
    expect(page.get_by_text("There is no run")).to_be_visible()


@pytest.mark.parametrize(("item", "same_machine"), [("Install again", True), ("Install elsewhere", False)])
def test_a_run_is_installed_again(past: Past, tab: OpenTab, item: str, same_machine: bool) -> None:
    """The start page gets its whole list, on the same machine or on one that is still to be named."""
    run_id = past.runs["partial"]
    page = tab(f"{past.url}/ui/runs")
    choose(page, run_id, item)
    page.wait_for_url(re.compile(rf"/\?from={run_id}"))
    address = past.stage.service.get(f"/runs/{run_id}")["machine"]["ssh_connection"]
    expect(page.get_by_role("textbox", name="SSH command")).to_have_value(address if same_machine else "")


def test_the_list_is_used_by_keyboard_alone(past: Past, tab: OpenTab) -> None:
    """Arrows or j and k go from run to run, x chooses one, Enter opens it; the menu closes with Escape, and the focus
    is back at its button."""
    page = tab(f"{past.url}/ui/runs")
    order = rows(page)
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(row_of(page, order[1]).locator(".run-said")).to_be_focused()
    page.keyboard.press("x")
    expect(row_of(page, order[1]).locator("input")).to_be_checked()
    more = row_of(page, order[1]).locator(".row-more")
    more.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".row-menu a").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(more).to_be_focused()
    row_of(page, past.runs["ready"]).locator(".run-said").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(past.runs["ready"]))


def test_without_runs_it_says_what_will_be_here(stage: Stage, tab: OpenTab) -> None:
    """And leads to the first install; there is nothing to filter."""
    page = tab(f"{stage.url}/ui/runs")
    expect(page.get_by_text("No run yet")).to_be_visible()
    expect(page.get_by_role("group", name="Show")).to_be_hidden()
    assert faults(page) == []
    page.get_by_role("main").get_by_role("link", name="Install node packs").click()
    page.wait_for_url(f"{stage.url}/")


def test_it_fits_every_width_and_look(browser: Browser, past: Past, complaints: Complaints) -> None:
    """Nothing serious for axe in any look, and no page is wider than the window: with runs, with none that match, two
    runs beside each other."""
    compare = f"/ui/compare?a={past.runs['ready']}&b={past.runs['partial']}"
    wrong = []
    for look, options in LOOKS.items():
        with browser.new_context(**options) as context:
            page = context.new_page()
            complaints.watch(page)
            for path in ("/ui/runs", "/ui/runs?state=needs_you", compare):
                page.goto(past.url + path)
                expect(page.locator("main h2:visible, #rows > li").first).to_be_visible()
                wrong += [f"{look} {path} {fault}" for fault in faults(page)]
                for width in WIDTHS if look == "light" else ():
                    page.set_viewport_size({"width": width, "height": 844})
                    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                        wrong.append(f"{path} is wider than {width}")
    assert wrong == []
