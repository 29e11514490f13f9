"""The views of a run beside its rows, on the page itself: timeline, package changes, machine, lock."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from app.protocol.other_files.own_script import lock_in
from test.browser.conftest import Complaints
from test.support.stage import Stage, scenario

pytestmark = pytest.mark.browser
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Past:
    """A service with runs that have ended; their ids by how they did."""

    stage: Stage
    ids: dict[str, str]

    def progress(self, name: str) -> dict[str, Any]:
        """As the API tells it."""
        return self.stage.service.progress(self.ids[name])


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """One service for all of them: nothing of it is changed."""
    with Stage(tmp_path_factory.mktemp("past")) as stage:
        ids = {
            "partial": stage.ended(scenario(34, failed=3, problem=1, build_seconds=100), ago=HOUR),
            "many": stage.ended(scenario(200, failed=9), ago=2 * HOUR),
            "planned": stage.ended(scenario(5, plan_only=True), ago=3 * HOUR),
            "nothing": stage.ended(scenario(3, end="ui_home_not_found"), ago=4 * HOUR),
        }
        yield Past(stage, ids)


@pytest.fixture
def at(context: BrowserContext, past: Past, complaints: Complaints) -> Any:
    """A run's page with a view open; the view's panel."""

    def open_view(name: str, view: str) -> Locator:
        page = context.new_page()
        complaints.watch(page)
        page.goto(f"{past.stage.url}/ui/run/{past.ids[name]}?tab={view}")
        return page.locator(f"#panel-{view}")

    return open_view


class TestTimeline:
    def test_each_pack_has_a_row_in_the_lists_order_and_each_failure_is_red(self, at: Any, past: Past) -> None:
        """A tick is a round time, and what took longest is named."""
        panel = at("partial", "timeline")
        nodes = [node for node in past.progress("partial")["nodes"] if node["timeline"]]
        names = panel.locator(".timeline-name")
        expect(names).to_have_text([node["name"] for node in nodes])
        failed = [node["name"] for node in nodes if node["state"] == "failed"]
        expect(panel.locator(".timeline-line[data-failed] .timeline-name")).to_have_text(failed)
        for bar in panel.locator(".timeline-line[data-failed] .timeline-bar").all():
            expect(bar.locator("[data-part=failed]")).to_have_count(1)
        assert 3 <= panel.locator(".timeline-ticks > span").count() <= 7
        expect(panel.locator(".timeline-slowest")).to_contain_text("building")

    def test_the_keyboard_goes_from_row_to_row_and_opens_a_log(self, at: Any) -> None:
        """One stop for Tab; the row that has the focus says its times."""
        panel = at("partial", "timeline")
        names = panel.locator(".timeline-name")
        names.first.focus()
        names.first.press("ArrowDown")
        expect(names.nth(1)).to_be_focused()
        expect(panel.locator(".timeline-says")).to_contain_text("Download 0")
        expect(panel.locator('.timeline-name[tabindex="0"]')).to_have_count(1)
        names.nth(1).press("Enter")
        expect(panel.page.locator("#log .log-line").first).to_be_visible()

    def test_the_slowest_come_first_if_asked_for(self, at: Any, past: Past) -> None:
        """By the seconds that were worked for a pack alone."""
        panel = at("partial", "timeline")
        panel.get_by_role("button", name="Slowest first").click()
        slowest = max(past.progress("partial")["nodes"], key=lambda node: node["seconds"] or 0)
        expect(panel.locator(".timeline-name").first).to_have_text(slowest["name"])

    def test_200_packs_are_drawn_in_a_moment_and_nothing_is_wider_than_its_row(self, at: Any) -> None:
        """Each piece lies inside its track."""
        panel = at("many", "timeline")
        expect(panel.locator(".timeline-line")).to_have_count(200)
        inside = """(panel) => [...panel.querySelectorAll(".timeline-bar > i")].every((piece) => {
            const [own, track] = [piece.getBoundingClientRect(), piece.parentElement.getBoundingClientRect()];
            return own.left >= track.left - 1 && own.right <= track.right + 4;
        })"""
        assert panel.evaluate(inside)


class TestChanges:
    def test_what_becomes_older_stands_first_and_is_warned_of(self, at: Any, past: Past) -> None:
        """Each change with its versions and for whom it is; the filter finds packages and packs."""
        panel = at("partial", "changes")
        plan = past.stage.service.get(f"/tasks/{past.ids['partial']}")["plan"]
        older = sorted(change["package"] for change in plan if change["downgrade"])
        rows = panel.locator("tbody tr")
        expect(rows).to_have_count(len(plan))
        assert [row.locator("th").inner_text() for row in rows.all()[: len(older)]] == older
        expect(panel.locator(".note")).to_contain_text(", ".join(older))
        one = next(change for change in plan if change["wanted_by"] and change["old"])
        panel.get_by_label("Search packages or node packs").fill(one["package"])
        row = panel.locator("tbody tr", has=panel.page.get_by_text(one["package"], exact=True)).first
        expect(row).to_contain_text(one["old"])
        expect(row).to_contain_text(one["new"])
        expect(row).to_contain_text(one["wanted_by"][0])
        panel.get_by_label("Search packages or node packs").fill("nothing like it")
        expect(panel.locator(".tab-empty:visible")).to_have_text("No package change matches.")

    def test_a_kind_of_change_is_shown_alone(self, at: Any) -> None:
        """Its number stands on its button."""
        panel = at("partial", "changes")
        new = panel.get_by_role("button", name=re.compile(r"^New \d"))
        count = int(new.inner_text().split()[-1])
        new.click()
        expect(panel.locator("tbody tr")).to_have_count(count)

    def test_a_plan_says_that_nothing_was_changed(self, at: Any) -> None:
        """In words, above the changes."""
        expect(at("planned", "changes")).to_contain_text("This was only a plan: nothing was changed.")


class TestMachineAndLock:
    def test_the_machine_s_facts_have_words_and_decimal_units_and_ids_are_copied_whole(
        self, at: Any, past: Past
    ) -> None:
        """Short ids have the whole one in the clipboard."""
        panel = at("partial", "machine")
        panel.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        expect(panel).to_contain_text(" GB free of ")
        expect(panel).to_contain_text(past.ids["partial"][:8])
        assert past.ids["partial"] not in panel.inner_text()
        panel.get_by_role("button", name="Copy: ID").click()
        expect(panel.get_by_role("button", name="Copy: ID")).to_have_text("Copied")
        assert panel.page.evaluate("() => navigator.clipboard.readText()") == past.ids["partial"]

    def test_a_lock_says_what_it_is_and_is_kept_and_installed_elsewhere(self, at: Any, past: Past) -> None:
        """The file is the API's lock; the start page takes it."""
        panel = at("partial", "lock")
        expect(panel).to_contain_text("A lock is the exact list of what is installed now")
        with panel.page.expect_download() as download:
            panel.get_by_role("button", name="Download").click()
        lock = past.stage.service.get(f"/tasks/{past.ids['partial']}/lock")["lock"]
        assert json.loads(Path(download.value.path()).read_text("utf-8")) == lock
        with panel.page.expect_download() as script:
            panel.get_by_role("button", name="For other tools").click()
            panel.get_by_role("button", name="On-start script").click()
        assert script.value.suggested_filename == "nodeferry-on-start.sh"
        assert lock_in(Path(script.value.path()).read_text("utf-8")) == json.dumps(lock, sort_keys=True)
        expect(panel.locator(".lock-next")).to_contain_text("curl -fsSL https://YOUR-ADDRESS | bash")
        panel.get_by_role("link", name="Install on another machine").click()
        expect(panel.page.get_by_text("Exactly what that run left").first).to_be_visible()


@pytest.mark.parametrize(
    ("view", "says"),
    [
        ("timeline", "No node pack has begun yet."),
        ("changes", "This run changed no Python packages."),
        ("machine", "This run ended before it had looked at the machine."),
        ("lock", "This run left no lock"),
    ],
)
def test_a_view_without_anything_says_why(at: Any, view: str, says: str) -> None:
    """In words, not as an empty box."""
    expect(at("nothing", view)).to_contain_text(says)
