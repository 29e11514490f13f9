"""One sum on the pages: a run's own, the list of runs, the fleet's and the machines'."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from test.one_sum.drawn import STANDINGS, Drawn, Sums
from test.one_sum.said import differences, numbers_in
from test.support.stage import Stage

pytestmark = [pytest.mark.sshd, pytest.mark.browser]

_RUN_PAGE = """() => {
  const text = (selector) => document.querySelector(selector)?.textContent.trim() ?? "";
  const keys = [...document.querySelectorAll("#head [data-segment] b")];
  const rows = [...document.querySelectorAll("#rows > li[data-standing]")].map((row) => row.dataset.standing);
  return {
    sentence: text("#head h1"),
    title: document.title,
    bar: Object.fromEntries(keys.map((b) => [b.closest("[data-segment]").dataset.segment, Number(b.textContent)])),
    rows,
    needs: text(".needs-toggle b"),
  };
}"""
_LIST = """() => {
  const shareOf = (part) => [part.dataset.standing, Number(part.style.getPropertyValue("--share"))];
  return [...document.querySelectorAll("li.run-row, li.fleet-row")].map((row) => ({
  id: row.querySelector("a")?.getAttribute("href")?.split("/").pop().split("?")[0] ?? "",
  sentence: (row.querySelector(".fleet-sentence") ?? row.querySelector("a.run-said")).textContent,
  bar: row.querySelector(".segments").getAttribute("aria-label"),
  shares: Object.fromEntries([...row.querySelectorAll(".segments [data-standing]")].map(shareOf)),
  counts: row.querySelector(".run-counts").textContent,
}));
}"""
_MACHINES = """() => [...document.querySelectorAll("li.machine-row")].map((row) => ({
  id: row.querySelector("a.machine-said")?.getAttribute("href")?.split("/").pop().split("?")[0] ?? "",
  sentence: row.querySelector(".machine-said").textContent,
}))"""
Json = dict[str, Any]


@pytest.fixture
def page(browser: Browser) -> Any:
    """A tab."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        yield context.new_page()


def test_the_page_of_a_run_has_one_sum(told: tuple[Stage, list[Drawn]], page: Page) -> None:
    """Its sentence, its bar, its rows, its title and what needs somebody; and it is that of the list."""
    stage, drawn = told
    found: list[str] = []
    for run in drawn:
        if run.children:
            continue
        page.goto(f"{stage.url}/ui/run/{run.run_id}")
        page.wait_for_selector("#head [data-segment] b", state="attached")
        if run.sums["total"]:
            page.wait_for_selector("#rows > li", state="attached")
        found += _of_page(run.name, run.sums, page.evaluate(_RUN_PAGE))
    assert not found, "\n".join(found)


def test_a_chapter_by_itself_has_one_sum(told: tuple[Stage, list[Drawn]], page: Page) -> None:
    """Its own: of what a retry was for, or of everything that was put back."""
    stage, drawn = told
    found: list[str] = []
    for run in drawn:
        for number, (task_id, sums) in enumerate(run.tasks.items()):
            if number and sums["total"]:
                page.goto(f"{stage.url}/ui/run/{run.run_id}?chapter={task_id}")
                page.wait_for_selector("#rows > li", state="attached")
                found += _of_page(f"{run.name}, chapter {number}", sums, page.evaluate(_RUN_PAGE))
    assert not found, "\n".join(found)


def test_the_list_of_runs_has_the_same_sums(told: tuple[Stage, list[Drawn]], page: Page) -> None:
    """In words, as a bar and in its label."""
    stage, drawn = told
    page.goto(f"{stage.url}/ui/runs")
    page.wait_for_selector("li.run-row")
    while page.locator("#older").is_visible():
        count = page.locator("li.run-row").count()
        page.locator("#older").click()
        page.wait_for_function("(count) => document.querySelectorAll('li.run-row').length > count", arg=count)
    rows = {row["id"]: row for row in page.evaluate(_LIST)}
    assert set(rows) >= {run.run_id for run in drawn}
    found = [difference for run in drawn for difference in _of_row(run, rows[run.run_id])]
    assert not found, "\n".join(found)


def test_the_page_of_a_fleet_has_them_too(told: tuple[Stage, list[Drawn]], page: Page) -> None:
    """Each of its machines."""
    stage, drawn = told
    found: list[str] = []
    for fleet in drawn:
        if fleet.children:
            page.goto(f"{stage.url}/ui/fleet/{fleet.run_id}")
            page.wait_for_selector("li.fleet-row")
            rows = {row["id"]: row for row in page.evaluate(_LIST)}
            found += [each for child in fleet.children for each in _of_row(child, rows[child.run_id])]
    assert not found, "\n".join(found)


def test_the_page_of_machines_says_what_the_last_runs_say(told: tuple[Stage, list[Drawn]], page: Page) -> None:
    """By sentence."""
    stage, drawn = told
    known = {run.run_id: run for each in drawn for run in (each, *each.children)}
    page.goto(f"{stage.url}/ui/machines")
    page.wait_for_selector("li.machine-row")
    rows = [row for row in page.evaluate(_MACHINES) if row["id"]]
    found = [
        difference
        for row in rows
        for difference in differences(
            f"machine: {row['sentence']!r}", numbers_in(row["sentence"]), known[row["id"]].sums
        )
    ]
    assert rows
    assert not found, "\n".join(found)


def _of_page(name: str, sums: Sums, shown: Json) -> list[str]:
    rows: Sums = {"total": len(shown["rows"]), **{word: shown["rows"].count(word) for word in STANDINGS}}
    sums = sums | {"left": sums["skipped"] + sums["cancelled"]}
    found = differences(f"{name}: page {shown['sentence']!r}", numbers_in(shown["sentence"]), sums)
    found += differences(f"{name}: title {shown['title']!r}", numbers_in(shown["title"]), sums)
    found += differences(f"{name}: bar", shown["bar"], sums)
    found += differences(f"{name}: rows", rows, sums)
    needs = sums["failed"] + sums["problem"]
    return found + differences(f"{name}: Needs you", {"n": int(shown["needs"] or 0)}, {"n": needs})


def _of_row(run: Drawn, shown: Json) -> list[str]:
    found = []
    for where in ("sentence", "bar", "counts"):
        numbers = numbers_in(shown[where])
        if where == "counts":
            numbers = {word: numbers[word] for word in ("ready", "total") if word in numbers}
        found += differences(f"{run.name}: row's {where} {shown[where]!r}", numbers, run.sums)
    return found + differences(f"{run.name}: row's parts", shown["shares"], run.sums)
