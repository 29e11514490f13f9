"""The pages behind a reverse proxy: an install from the pasted command to its end, every change as it happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from app.standin.instance import StandIn
from app.standin.reverse_proxy import Manner, ReverseProxy
from test.browser.conftest import OpenTab, fill_in
from test.browser.run_page import END, choose, downloaded, row, sentence
from test.support.real_proxy import NAME, nginx
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]

ABSPROXY = Manner(prefix="/absproxy/5000", strips=False)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that takes the test's certificate."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, ignore_https_errors=True) as fresh:
        yield fresh


def code_server(service: str) -> AbstractContextManager[str]:
    return _Addressed(ReverseProxy(service, ABSPROXY))


class _Addressed(AbstractContextManager[str]):
    def __init__(self, proxy: ReverseProxy) -> None:
        self._proxy = proxy

    def __enter__(self) -> str:
        self._proxy.__enter__()
        return f"http://{NAME}:{self._proxy.port}{ABSPROXY.prefix}"

    def __exit__(self, *what: object) -> None:
        self._proxy.__exit__(None, None, None)


@pytest.mark.parametrize("kind", ["code-server", "nginx"])
def test_an_install_through_a_proxy(
    kind: str, standin: StandIn, urls: list[str], *, heavy: threading.Event, tab: OpenTab, tmp_path: Path
) -> None:
    """Started, watched to its end and found again; the progress comes by the event stream."""
    through: Callable[[str], AbstractContextManager[str]] = (
        code_server if kind == "code-server" else lambda service: nginx(tmp_path, service, below_path=True)
    )
    prefix = ABSPROXY.prefix if kind == "code-server" else "/nodeferry"
    behind = ServiceProcess(tmp_path, path_prefix=prefix, allowed_hosts=NAME, trusted_proxies="127.0.0.1")
    with behind as service, through(service.url) as address:
        page = tab(f"{address}/")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        fill_in(page, standin, urls[:2])
        page.get_by_role("button", name="Install", exact=True).click()
        downloaded(page, "heavy")
        heavy.set()
        expect(row(page, "heavy")).to_contain_text("loads in ComfyUI", timeout=END)
        expect(sentence(page)).to_have_text("All 2 node packs are ready", timeout=END)
        assert any("/events?" in url for url in asked)
        assert all(url.startswith(f"{address}/") for url in asked if not url.startswith("data:"))
        page.get_by_role("link", name="Runs", exact=True).click()
        expect(page).to_have_url(f"{address}/ui/runs")
        page.locator("main a[href*='/ui/run/']").first.click()
        expect(row(page, "light")).to_be_visible(timeout=END)
        assert page.url.startswith(f"{address}/ui/run/")
        if kind == "code-server":  # there ComfyUI's page would have this one's origin
            choose(page, "Open ComfyUI")
            expect(page.get_by_role("dialog")).to_contain_text("Open it only if you trust the machine.")
            page.get_by_role("button", name="No, go back").click()


def test_a_page_without_its_styles_says_which_setting_is_missing(tmp_path: Path, context: BrowserContext) -> None:
    """code-server strips the path, and nobody told the service of it."""
    with ServiceProcess(tmp_path, allowed_hosts=NAME) as service:
        with ReverseProxy(service.url, Manner(prefix="/proxy/5000")) as proxy:
            page = context.new_page()
            page.goto(f"http://{NAME}:{proxy.port}/proxy/5000/")
            expect(page.get_by_text("NODEFERRY_PATH_PREFIX=/proxy/5000")).to_be_visible()
        page = context.new_page()
        page.goto(service.url)
        expect(page.get_by_text("NODEFERRY_PATH_PREFIX=/proxy/5000")).to_be_hidden()
