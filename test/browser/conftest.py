"""A real Chromium on pages of a real service, which installs on a stand-in."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Response, expect

from app.standin.git_rules import MISSING, RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.support.service import ServiceProcess

SLOW = RepoRule(bytes_per_second=450_000)
expect.set_options(timeout=20_000)

OpenTab = Callable[..., Page]


class Complaints:
    """What the browser's console said that it should not, in all tabs of a test: errors, violations of the policy."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.expected: list[str] = []
        """Patterns of what a test causes on purpose."""

    def watch(self, page: Page) -> None:
        """From now on."""
        page.on("console", self._said)
        page.on("pageerror", self._thrown)
        page.on("response", self._answered)

    def _said(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self._add(said.text)

    def _thrown(self, error: Error) -> None:
        self._add(str(error))

    def _answered(self, answer: Response) -> None:
        if answer.status >= 400:
            self._add(f"{answer.status} {answer.url}")

    def _add(self, text: str) -> None:
        if not any(re.search(pattern, text) for pattern in self.expected):
            self.found.append(text)


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """No test ends well with a complaint that it did not expect."""
    heard = Complaints()
    yield heard
    assert heard.found == []


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that was never here before."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as fresh:
        yield fresh


@pytest.fixture
def tab(context: BrowserContext, complaints: Complaints) -> OpenTab:
    """Opens a tab at an address."""

    def open_tab(address: str) -> Page:
        page = context.new_page()
        complaints.watch(page)
        page.goto(address)
        return page

    return open_tab


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A running service with an empty data folder."""
    with ServiceProcess(tmp_path) as running:
        yield running


@pytest.fixture
def urls(git_server: GitServer) -> list[str]:
    """Three packs: one that takes some seconds to clone, a quick one, and one that is missing."""
    heavy = make_pack(git_server, "o", "heavy", payload_bytes=4_000_000)
    git_server.set_rule("o/heavy", SLOW)
    light = make_pack(git_server, "o", "light")
    git_server.set_rule("o/gone", MISSING)
    return [heavy.url, light.url, f"{git_server.url}/o/gone"]


@pytest.fixture
def heavy(git_server: GitServer, urls: list[str]) -> Iterator[threading.Event]:
    """The heavy pack's clone does not end before this is set."""
    released = threading.Event()
    git_server.set_rule("o/heavy", replace(SLOW, hold_after_bytes=3_600_000, released=released))
    yield released
    released.set()


@pytest.fixture
def standin(standin_factory: Callable[..., StandIn], git_server: GitServer) -> StandIn:
    """An instance without pip: no pack of these tests needs packages."""
    return standin_factory(git_base_url=git_server.url)


def trust(page: Page) -> None:
    """Answers the question about a new machine's key, if it is asked; the machine is connected then."""
    tested = page.locator("#tested")
    expect(tested).to_contain_text(re.compile("First time on|Connected"))
    key = page.get_by_role("button", name="Trust this key")
    for _ in range(3):  # a field that was changed just before has the machine tested once more
        if not key.is_visible():
            break
        key.click()
        with suppress(AssertionError):
            expect(tested).to_contain_text("Connected", timeout=8_000)
        expect(tested).to_contain_text(re.compile("First time on|Connected"))
    expect(tested).to_contain_text("Connected")


def fill_in(page: Page, standin: StandIn, urls: list[str]) -> None:
    """The start page as a person fills it in: the command, the folder, the repositories, the machine's key."""
    page.get_by_label("SSH command").fill(standin.ssh_command)
    if not page.get_by_label("ComfyUI’s folder").is_visible():
        page.get_by_text("Options", exact=True).click()
    page.get_by_label("ComfyUI’s folder").fill(str(standin.ui_home))
    page.get_by_role("radio", name="Paste").check()
    page.get_by_label("Repositories", exact=True).fill("\n".join(urls))
    expect(page.locator("#list-rows label")).to_have_count(len(urls))
    trust(page)
