"""The log beside the rows, in a real Chromium on a real service: what is shown, found, followed, linked and said."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from test.browser.conftest import Complaints
from test.browser.part_page import serve
from test.browser.test_accessibility import LOOKS, faults
from test.support.service import ServiceProcess

pytestmark = pytest.mark.browser
PORTS = itertools.count(9)
"""Nobody listens there. Another one each time: what goes on at one address makes others wait."""
BODY = """<div class="try"><div><button id="open">Open</button><div id="found"></div></div>
<aside id="log" hidden></aside></div>"""
STYLE = """main { max-width: none; padding: 0 } .try { display: grid; grid-template-columns: minmax(0, 1fr) }
@media (min-width: 1200px) { .try { grid-template-columns: minmax(0, 1fr) 34rem }
#log { position: sticky; top: 0; height: 100vh } }"""
SCRIPT = """import { LogPanel } from "../log/panel.js";
import { LogSearch } from "../log/search.js";
const asked = new URLSearchParams(location.search);
const element = document.getElementById("log");
const panel = new LogPanel(element);
const given = { taskId: asked.get("task"), running: asked.has("running"), line: asked.get("line") };
const open = (what) => panel.open({ ...given, ...what });
const search = new LogSearch(asked.get("task"), open);
document.getElementById("found").append(search.element);
document.getElementById("open").onclick = () => open({});
const told = ({ type, detail }) => (document.body.dataset.said = JSON.stringify([type, detail]));
for (const name of ["log:line", "log:close"]) element.addEventListener(name, told);
window.panel = panel;
window.search = search;
"""
KEPT = "() => [document.body, ...document.querySelectorAll('dialog *')].includes(document.activeElement)"
HOSTILE = "\x1b[31;1mred\x1b[0m <b>bold</b> \u202egnp.exe \x00\x9b2J \x1b]8;;http://evil\x07link\x1b]8;;\x07\n"

Opened = Callable[..., Page]


class Logs:
    """The logs of a task, as its follower writes them."""

    def __init__(self, service: ServiceProcess, *, ended: bool) -> None:
        options = {"wait_seconds": 0 if ended else 600}
        asked = {"ssh_connection": f"ssh root@127.0.0.1 -p {next(PORTS)}", "options": options}
        self.task_id = service.post("/ssh/install-custom-nodes", asked).json()["task_id"]
        if ended:
            service.ended(self.task_id)
        self.folder = service.data_dir / "logs" / self.task_id
        self.folder.mkdir(parents=True, exist_ok=True)
        self.url = service.url

    def put(self, text: str, name: str = "run.log") -> None:
        """At the end of a log."""
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(text)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for all of them: nothing is installed."""
    with ServiceProcess(tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest.fixture
def logs(service: ServiceProcess) -> Logs:
    """The logs of a task that has ended."""
    return Logs(service, ended=True)


@pytest.fixture
def live(service: ServiceProcess) -> Logs:
    """The logs of a task that goes on."""
    return Logs(service, ended=False)


@pytest.fixture
def opened(context: BrowserContext, complaints: Complaints) -> Opened:
    """A page with the log of a task open."""

    def open_log(logs: Logs, more: str = "", *, width: int = 1440) -> Page:
        page = context.new_page()
        complaints.watch(page)
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"{serve(page, logs.url, BODY, SCRIPT, STYLE)}?task={logs.task_id}{more}")
        page.get_by_role("button", name="Open").click()
        return page

    return open_log


def numbered(count: int, first: int = 1) -> str:
    """So many lines that say which they are."""
    return "".join(f"line {number}\n" for number in range(first, first + count))


def test_only_lines_in_view_are_in_the_page_and_each_has_its_number(logs: Logs, opened: Opened) -> None:
    """An ended run's log is at its end; its first line is one click away, and scrolling brings what is between."""
    logs.put(numbered(30_000))
    page = opened(logs)
    expect(page.locator('.log-line[data-line="30000"]')).to_contain_text("line 30000")
    assert page.locator(".log-line").count() < 150
    expect(page.locator(".log-facts")).to_contain_text("30000 lines")
    page.get_by_role("button", name="First line").click()
    expect(page.locator('.log-line[data-line="1"]')).to_have_text("1line 1")
    page.locator(".log-scroll").hover()
    page.mouse.wheel(0, 100_000)
    page.wait_for_function("() => window.panel.model.last > 12010")
    page.mouse.wheel(0, 12_000 * 20 - 400 * 20)
    expect(page.locator('.log-line[data-line="12010"]')).to_contain_text("line 12010")


def test_colours_are_classes_and_whatever_steers_is_text(logs: Logs, opened: Opened) -> None:
    """A line that was drawn again says its last state; nothing from a log is markup."""
    logs.put("Receiving objects:  10%\rReceiving objects:  60%\rReceiving objects: 100%, done.\r\n" + HOSTILE)
    page = opened(logs)
    expect(page.locator('.log-line[data-line="1"] .log-text')).to_have_text("Receiving objects: 100%, done.")
    second = page.locator('.log-line[data-line="2"] .log-text')
    expect(second).to_contain_text("red <b>bold</b> �gnp.exe ��2J link")
    expect(second.locator(".ansi-1.ansi-bold")).to_have_text("red")
    assert page.locator(".log-scroll b").count() == 0


def test_a_click_on_a_number_chooses_the_line_and_tells_it(logs: Logs, opened: Opened) -> None:
    """With Shift a range; each number is a link to its line, and such a link shows it in the middle."""
    logs.put(numbered(5000))
    page = opened(logs, "&line=2500")
    chosen = page.locator(".log-line[data-chosen]")
    expect(chosen).to_have_attribute("data-line", "2500")
    expect(chosen).to_be_in_viewport()
    assert "line=2501" in str(page.locator('.log-line[data-line="2501"] .log-number').get_attribute("href"))
    page.locator('.log-line[data-line="2502"] .log-number').click(modifiers=["Shift"])
    expect(chosen).to_have_count(3)
    assert page.locator("body").get_attribute("data-said") == '["log:line",{"line":2500,"to":2502}]'


def test_a_line_links_to_its_own_log(logs: Logs, opened: Opened) -> None:
    """Also where another log was open before it, whose lines had the same numbers."""
    logs.put(numbered(3))
    page = opened(logs)
    page.route(  # nothing was installed: a pack's log is the run's here
        re.compile("node=one"),
        lambda route: route.fulfill(response=route.fetch(url=route.request.url.replace("node=one", "log=run"))),
    )
    link = page.locator('.log-line[data-line="2"] .log-number')
    expect(link).to_have_attribute("href", re.compile(r"[?&]line=2$"))
    page.evaluate("panel.open({ taskId: panel.taskId, pack: 'one' })")
    expect(link).to_have_attribute("href", re.compile(r"[?&]pack=one&line=2$"))


def test_what_was_to_be_drawn_when_it_closes_is_not(logs: Logs, opened: Opened) -> None:
    """Its lines have come, and the browser has not drawn them yet."""
    logs.put(numbered(3000))
    page = opened(logs)
    expect(page.locator('.log-line[data-line="3000"]')).to_be_visible()
    page.evaluate("""async () => {
        const show = panel.view.show.bind(panel.view);
        panel.view.show = (model) => { show(model); panel.close(); };
        await panel.open({ taskId: panel.taskId, line: "1" });
        return new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    }""")
    expect(page.locator("#log")).to_be_hidden()


def test_the_search_finds_lines_that_are_not_here(logs: Logs, opened: Opened) -> None:
    """It counts them, goes from one to the next by Enter and buttons, and says when there is none."""
    logs.put(numbered(200) + "a needle here\n" + numbered(60_000, 201) + "another NEEDLE\n")
    page = opened(logs)
    expect(page.locator('.log-line[data-line="60202"]')).to_be_visible()
    page.locator(".log-scroll").press("Control+f")
    field = page.get_by_label("Search in this log")
    expect(field).to_be_focused()
    field.fill("needle")
    count = page.locator(".log-count")
    expect(count).to_have_text("2 of 2")
    field.press("Enter")
    expect(count).to_have_text("1 of 2")
    expect(page.locator('.log-line[data-line="201"] mark[data-current]')).to_have_text("needle")
    page.get_by_role("button", name="Previous match").click()
    expect(page.locator('.log-line[data-line="60202"] mark[data-current]')).to_have_text("NEEDLE")
    field.fill("nothing like it")
    expect(count).to_have_text("No match")
    field.press("Escape")
    expect(field).to_have_value("")
    expect(page.locator(".log-panel")).to_be_visible()


def test_following_lets_go_when_one_scrolls_up_and_takes_hold_again_at_the_end(live: Logs, opened: Opened) -> None:
    """Meanwhile the button counts what has come."""
    live.put(numbered(300))
    page = opened(live, "&running")
    expect(page.locator('.log-line[data-line="300"]')).to_be_visible()
    live.put(numbered(50, 301))
    expect(page.locator('.log-line[data-line="350"]')).to_be_in_viewport()
    follow = page.locator(".log-follow")
    expect(follow).to_be_hidden()
    page.locator(".log-scroll").hover()
    page.mouse.wheel(0, -2000)
    expect(follow).to_have_text("Follow")
    live.put(numbered(25, 351))
    expect(follow).to_have_text("Follow · 25 new lines")
    expect(page.locator('.log-line[data-line="375"]')).to_have_count(0)
    follow.click()
    expect(page.locator('.log-line[data-line="375"]')).to_be_in_viewport()
    page.mouse.wheel(0, -2000)
    expect(follow).to_be_visible()
    page.mouse.wheel(0, 60_000)
    expect(follow).to_be_hidden()
    live.put(numbered(5, 376))
    expect(page.locator('.log-line[data-line="380"]')).to_be_in_viewport()


def test_a_running_log_shows_the_last_state_of_its_progress_line(live: Logs, opened: Opened) -> None:
    """The line is drawn again in its place: none is added."""
    live.put("Downloading torch\n 10 MB of 800 MB\r")
    page = opened(live, "&running")
    second = page.locator('.log-line[data-line="2"] .log-text')
    expect(second).to_have_text(" 10 MB of 800 MB")
    live.put(" 700 MB of 800 MB\r")
    expect(second).to_have_text(" 700 MB of 800 MB")
    live.put(" 800 MB of 800 MB\nInstalled\n")
    expect(page.locator('.log-line[data-line="3"] .log-text')).to_have_text("Installed")
    expect(second).to_have_text(" 800 MB of 800 MB")


def test_long_lines_are_broken_or_not_and_copied_whole(logs: Logs, opened: Opened) -> None:
    """The choice is remembered; copied text has neither numbers nor the breaks of the window."""
    text = " ".join(f"word-{number}" for number in range(60))
    logs.put(f"first\n{text}\n字幕 {'字' * 200}\nlast\n")
    page = opened(logs)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    second = page.locator('.log-line[data-line="2"]')
    expect(second.locator(".log-row").nth(4)).to_be_visible()
    rows = second.bounding_box()
    assert rows is not None and rows["height"] == 20 * second.locator(".log-row").count()
    page.locator(".log-scroll").evaluate("(box) => getSelection().selectAllChildren(box.querySelector('.log-window'))")
    page.locator(".log-scroll").press("Control+c")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.split("\n")[:2] == ["first", text]
    page.get_by_role("button", name="Wrap long lines").click()
    expect(second.locator(".log-row")).to_have_count(0)
    page.reload()
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("button", name="Wrap long lines")).to_have_attribute("aria-pressed", "false")


def test_a_log_is_copied_and_downloaded_as_it_is_read(logs: Logs, opened: Opened) -> None:
    """Chosen lines or all of it, without colours."""
    logs.put("one\n10%\r\x1b[32mtwo\x1b[0m\nthree\n")
    page = opened(logs)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.locator(".log-said")).to_have_text("The whole log is in the clipboard.")
    assert page.evaluate("() => navigator.clipboard.readText()") == "one\ntwo\nthree\n"
    page.locator('.log-line[data-line="2"] .log-number').click()
    page.get_by_role("button", name="Copy lines").click()
    expect(page.locator(".log-said")).to_have_text("1 line is in the clipboard.")
    assert page.evaluate("() => navigator.clipboard.readText()") == "two"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename.startswith("run-")
    assert Path(download.value.path()).read_text("utf-8") == "one\ntwo\nthree\n"


def test_a_log_of_30_megabytes_is_opened_at_its_end_and_says_what_is_not_shown(logs: Logs, opened: Opened) -> None:
    """Its first line, any line and what is searched are there in seconds, and memory stays small."""
    out = io.StringIO()
    for number in range(1, 300_001):
        out.write(f"{number} {'x' * 92}\n")
    logs.put(out.getvalue())
    page = opened(logs)
    expect(page.locator('.log-line[data-line="300000"]')).to_be_visible()
    expect(page.locator(".log-facts")).to_contain_text("are not shown")
    page.get_by_role("button", name="First line").click()
    expect(page.locator('.log-line[data-line="1"]')).to_contain_text("1 xxx")
    page.get_by_label("Search in this log").fill("177777 x")
    expect(page.locator(".log-count")).to_have_text("1 of 1")
    expect(page.locator('.log-line[data-line="177777"]')).to_be_in_viewport()
    assert page.evaluate("() => window.panel.model.lines.length") <= 60_000


def test_below_1200_pixels_it_is_a_dialog_that_keeps_the_focus_and_gives_it_back(logs: Logs, opened: Opened) -> None:
    """Escape closes it, and a wider window makes it a column again."""
    logs.put(numbered(500))
    page = opened(logs, width=390)
    sheet = page.get_by_role("dialog", name="Log of the whole run")
    expect(sheet).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate(KEPT)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    expect(page.get_by_role("button", name="Open")).to_be_focused()
    assert page.locator("body").get_attribute("data-said") == '["log:close",null]'
    page.get_by_role("button", name="Open").click()
    page.set_viewport_size({"width": 1440, "height": 800})
    expect(page.locator("#log .log-panel")).to_be_visible()
    expect(page.locator("dialog")).to_have_count(0)


def test_a_search_over_all_logs_leads_to_the_line(logs: Logs, opened: Opened) -> None:
    """It says how many lines in how many logs have the text."""
    logs.put(numbered(3000) + "no space left on device\n" + numbered(100))
    logs.put("x\nNo space LEFT\n", "packages.log")
    page = opened(logs)
    page.evaluate("() => window.search.search('no space left')")
    found = page.locator(".log-search-found")
    expect(found.locator("summary")).to_have_text("In logs: 2 lines in 2 logs")
    found.locator("summary").click()
    found.get_by_role("button", name="3001 no space left on device").click()
    chosen = page.locator(".log-line[data-chosen]")
    expect(chosen).to_have_attribute("data-line", "3001")
    expect(chosen).to_be_in_viewport()
    found.get_by_role("button", name="2 No space LEFT").click()
    expect(page.get_by_label("Which log")).to_have_value("log packages")
    page.evaluate("() => window.search.search('')")
    expect(found).to_be_hidden()


def test_an_empty_log_says_so(logs: Logs, live: Logs, opened: Opened) -> None:
    """And whether something may still come."""
    expect(opened(logs).locator(".log-empty")).to_have_text("Nothing was written to this log.")
    expect(opened(live, "&running").locator(".log-empty")).to_have_text("Nothing has been written to this log yet.")


@pytest.mark.parametrize("look", LOOKS)
def test_it_has_no_serious_fault(browser: Browser, logs: Logs, complaints: Complaints, look: str) -> None:
    """axe, with a search in it, chosen lines and colours."""
    colours = "".join(f"\x1b[{code}mcolour {code}\x1b[0m\n" for code in [*range(30, 38), *range(90, 98)])
    logs.put(numbered(100) + colours)
    with browser.new_context(**LOOKS[look]) as context:
        page = context.new_page()
        complaints.watch(page)
        page.goto(f"{serve(page, logs.url, BODY, SCRIPT, STYLE)}?task={logs.task_id}&line=95")
        page.get_by_role("button", name="Open").click()
        expect(page.locator(".log-line[data-chosen]")).to_be_visible()
        page.get_by_label("Search in this log").fill("colour 3")
        expect(page.locator(".log-count")).to_have_text("1 of 8")
        assert faults(page) == []
