"""A hostile ComfyUI behind a tunnel gets nothing of the service, and another page gets nothing of a ComfyUI."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.browser.conftest import Complaints, OpenTab
from test.browser.run_page import choose
from test.support.running_comfyui import running_comfyui
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
END = 60_000
HOSTILE = Path(__file__).with_name("hostile_main.py")
LOGIN = "a-session-of-the-service"


@dataclass
class Opened:
    """The service's page of a run, and the hostile ComfyUI in the tab that its button has opened."""

    service: ServiceProcess
    task_id: str
    page: Page
    tab: Page
    cookie: str

    def run(self, script: str, **values: Any) -> Any:
        """What a script of the hostile page brings. `service`, `task`: where and what it attacks."""
        known = {"service": self.service.url, "task": self.task_id, "cookie": self.cookie, **values}
        return self.tab.evaluate(f"async ({{{', '.join(known)}}}) => {{ {script} }}", known)

    def seen(self) -> list[dict[str, Any]]:
        """The requests that came to the hostile server."""
        found: list[dict[str, Any]] = self.tab.evaluate("async () => (await fetch('/seen')).json()")
        return found


@pytest.fixture
def loud_tab(tab: OpenTab, complaints: Complaints) -> OpenTab:
    """The attacks make the console complain."""
    complaints.expected.append("")
    return tab


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, venv_cache: Path) -> Iterator[tuple[ServiceProcess, str]]:
    """A service with an install that has ended, on an instance where a hostile server runs in ComfyUI's place."""
    folder = tmp_path_factory.mktemp("h")
    options: dict[str, Any] = {"name": "hostile", "environ": os.environ, "venv_cache": venv_cache, "with_pip": False}
    with (
        GitServer(folder / "git") as git,
        StandIn(folder / "i", git_base_url=git.url, **options) as standin,
        ServiceProcess(folder) as service,
    ):
        pack = make_pack(git, "o", "light")
        task_id = service.install(standin, manifest={"urls": [pack.url]}, options={"verify": False})
        assert service.ended(task_id)["state"] == "completed"
        (standin.ui_home / "main.py").write_text(HOSTILE.read_text("utf-8"), "utf-8")
        with running_comfyui(standin):
            yield service, task_id


@pytest.fixture
def hostile(ended: tuple[ServiceProcess, str], loud_tab: OpenTab, context: BrowserContext) -> Opened:
    """As a person opens it, from a service with a login: a cookie of the service's host name."""
    service, task_id = ended
    cookie = f"nodeferry-session-{service.url.rpartition(':')[2]}"
    context.add_cookies([{"name": cookie, "value": LOGIN, "url": service.url, "httpOnly": True, "sameSite": "Strict"}])
    page = loud_tab(f"{service.url}/ui/run/{task_id}")
    with context.expect_page() as opened:
        choose(page, "Open ComfyUI")
    opened.value.get_by_text("Hostile ComfyUI").wait_for(timeout=END)
    return Opened(service, task_id, page, opened.value, cookie)


def test_the_tunnel_is_another_site_than_the_page_and_the_page_s_own_cookie_stays(
    hostile: Opened, context: BrowserContext
) -> None:
    """Whatever the page does to the cookies of its host name; and it never sees one of ours, nor its capability."""
    assert hostile.tab.url.startswith("http://localhost:")
    assert hostile.service.url.startswith("http://127.0.0.1:")
    others = "return document.cookie.split('; ').filter((one) => one && !/^nodeferry_t[0-9]+[0-9a-f]{8}_/.test(one))"
    assert hostile.run(others) == []
    hostile.run(
        """
        for (const path of ["/", "/tasks", "/ui"])
          for (const domain of ["", "; domain=localhost", "; domain=127.0.0.1", "; domain=.0.0.1"])
            document.cookie = `${cookie}=tossed; path=${path}${domain}`;
        for (let i = 0; i < 400; i += 1) document.cookie = `flood${i}=${"x".repeat(20)}; path=/`;
        """
    )
    kept = context.cookies(hostile.service.url + "/tasks")
    assert [(one["name"], one["value"]) for one in kept] == [(hostile.cookie, LOGIN)]


def test_the_capability_is_nowhere_that_the_page_can_look(hostile: Opened, context: BrowserContext) -> None:
    """Not in the referrer, the history, the entries of the navigation, the cookies, nor in what the server gets."""
    found = hostile.run(
        """
        const entries = window.navigation ? navigation.entries().map((entry) => entry.url) : [];
        const from = window.navigation?.activation?.from?.url ?? null;
        return JSON.stringify([document.referrer, document.cookie, location.href, entries, from,
          performance.getEntries(), history.state, window.name, document.documentElement.outerHTML]);
        """
    )
    secret = next(one["value"] for one in context.cookies(hostile.tab.url) if "_tunnel_" in one["name"])
    assert len(secret) >= 43
    assert secret not in found
    assert "nodeferry-open" not in found
    assert secret not in str(hostile.seen())
    assert LOGIN not in str(hostile.seen())


def test_the_page_s_own_websocket_works(hostile: Opened) -> None:
    """ComfyUI sends its progress so."""
    heard = hostile.run(
        """
        const socket = new WebSocket(location.href.replace("http", "ws") + "ws?clientId=1");
        return new Promise((resolve, reject) => {
          socket.onmessage = (event) => { resolve(event.data); socket.close(); }; socket.onerror = reject;
        });
        """
    )
    assert heard == "hello"


def test_the_page_reads_nothing_of_the_service(hostile: Opened) -> None:
    """By fetch, stream, WebSocket, frame, window, or the tab that has opened it."""
    assert hostile.run("return window.opener") is None
    reads = """
        const tried = async (what) => { try { return String(await what()); } catch (error) { return "refused"; } };
        const places = [service, service.replace("127.0.0.1", "localhost")];
        const found = [];
        for (const at of places) for (const path of ["/tasks", `/tasks/${task}`, "/", `/tasks/${task}/open`]) {
          found.push(await tried(async () => (await fetch(at + path, { credentials: "include" })).text()));
          found.push(await tried(async () =>
            (await (await fetch(at + path, { credentials: "include", mode: "no-cors" })).text()) || "refused"));
        }
        for (const at of places) {
          found.push(await tried(() => new Promise((resolve, reject) => {
            const stream = new EventSource(`${at}/tasks/${task}/events`, { withCredentials: true });
            stream.onmessage = resolve; stream.onerror = () => { stream.close(); reject(); };
          })));
          found.push(await tried(() => new Promise((resolve, reject) => {
            const socket = new WebSocket(at.replace("http", "ws") + "/");
            socket.onopen = resolve; socket.onerror = reject;
          })));
          found.push(await tried(() => new Promise((resolve, reject) => {
            const frame = document.createElement("iframe"); frame.src = `${at}/ui/run/${task}`;
            frame.onload = () => { try { resolve(frame.contentWindow.document.body.innerHTML || "refused"); }
                                   catch { reject(); } };
            document.body.append(frame);
          })));
        }
        return found;
    """
    assert set(hostile.run(reads)) == {"refused"}


def test_a_window_of_the_service_is_cut_off_from_the_page(hostile: Opened, context: BrowserContext) -> None:
    """The page can open it, as any page can, and has no hold of it."""
    with context.expect_page() as opened:
        hostile.run("window.victim = window.open(service + '/ui/runs'); return null")
    opened.value.get_by_role("heading", name="Runs").first.wait_for()
    assert hostile.run("return window.victim.closed") is True
    assert opened.value.evaluate("window.opener") is None


def test_the_page_changes_nothing_in_the_service(hostile: Opened, context: BrowserContext) -> None:
    """By no method, body or form, at neither name of the service's host."""
    before = hostile.service.get("/tasks")
    writes = """
        const tried = async (what) => { try { return (await what()).type; } catch { return "refused"; } };
        const found = [];
        for (const at of [service, service.replace("127.0.0.1", "localhost")]) {
          for (const path of [`/tasks/${task}/restart`, `/tasks/${task}/retry`, "/ssh/install-custom-nodes"])
            for (const type of ["text/plain", "application/json", "application/x-www-form-urlencoded"])
              for (const mode of ["cors", "no-cors"])
                found.push(await tried(() => fetch(at + path, { method: "POST", body: "{}", mode,
                  credentials: "include", headers: { "Content-Type": type } })));
          const gone = { method: "DELETE", credentials: "include" };
          found.push(await tried(() => fetch(`${at}/tasks/${task}/open`, gone)));
          navigator.sendBeacon(`${at}/tasks/${task}/restart`, "{}");
        }
        return [...new Set(found)];
    """
    assert set(hostile.run(writes)) <= {"refused", "opaque"}
    for at in (hostile.service.url, hostile.service.url.replace("127.0.0.1", "localhost")):
        with context.expect_page() as opened:
            hostile.run(
                """
                const form = document.createElement("form");
                Object.assign(form, { action: `${at}/tasks/${task}/restart`, method: "post", enctype: "text/plain",
                                      target: "_blank" });
                form.innerHTML = '<input name="{" value="}">';
                document.body.append(form); form.submit(); return null
                """,
                at=at,
            )
        opened.value.get_by_text("cross_site_request").or_(opened.value.get_by_text("another site")).first.wait_for()
        opened.value.close()
    assert hostile.service.get("/tasks") == before
    assert hostile.service.get(f"/tasks/{hostile.task_id}/open")["state"] == "open"


def test_the_page_registers_no_service_worker_and_is_not_at_the_service_s_name(hostile: Opened) -> None:
    """A worker would outlive the tunnel, and the port may be another instance's tomorrow."""
    register = """
        try { await navigator.serviceWorker.register("/worker.js"); return "registered"; }
        catch (error) { return String(error); }
    """
    assert "403" in hostile.run(register) or "SecurityError" in hostile.run(register)
    assert "/worker.js" not in {one["path"] for one in hostile.seen()}
    answer = hostile.tab.goto(hostile.tab.url.replace("localhost", "127.0.0.1"))
    assert answer is not None
    assert answer.status == 403


class _ThirdSite(BaseHTTPRequestHandler):
    """An empty page of another server on this machine."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>Third</title><p>third"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


@pytest.fixture
def third() -> Iterator[int]:
    """The port of another web server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _ThirdSite) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_another_page_reads_and_changes_nothing_in_comfyui(
    hostile: Opened, context: BrowserContext, third: int, name: str
) -> None:
    """Also one at the same host name, which browsers take for the same site: they send it the cookie."""
    before = len(hostile.seen())
    page = context.new_page()
    page.goto(f"http://{name}:{third}/")
    attacks = """async (to) => {
        const tried = async (what) => { try { return await what(); } catch (error) { return "refused"; } };
        const load = (tag, more) => () => new Promise((resolve, reject) => {
          const one = Object.assign(document.createElement(tag), more);
          one.onload = () => resolve(tag === "iframe" ? "refused" : "loaded"); one.onerror = reject;
          document.body.append(one);
        });
        const found = [];
        for (const options of [{}, { mode: "no-cors" }, { method: "POST", body: "{}" },
                               { method: "POST", body: "{}", mode: "no-cors" }, { method: "DELETE" }])
          found.push(await tried(async () =>
            (await (await fetch(to + "prompt", { credentials: "include", ...options })).text()) || "refused"));
        found.push(await tried(load("img", { src: to + "interrupt" })));
        found.push(await tried(load("script", { src: to + "worker.js" })));
        found.push(await tried(load("iframe", { src: to })));
        found.push(await tried(() => new Promise((resolve, reject) => {
          const socket = new WebSocket(to.replace("http", "ws") + "ws");
          socket.onopen = resolve; socket.onerror = reject;
        })));
        return found;
    }"""
    assert set(page.evaluate(attacks, hostile.tab.url)) == {"refused"}
    with context.expect_page() as opened:
        page.evaluate("(to) => { window.open(to + 'manager/reboot'); }", hostile.tab.url)
    opened.value.get_by_text("another site").first.wait_for()
    with page.expect_navigation():
        page.evaluate("(to) => { location.href = to + 'manager/reboot'; }", hostile.tab.url)
    assert len(hostile.seen()) == before
