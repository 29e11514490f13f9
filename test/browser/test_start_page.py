"""The start page: from nothing to an install, by mouse or keyboard; what is remembered; what goes wrong, in words."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.browser.conftest import Complaints, OpenTab, trust
from test.browser.test_accessibility import faults
from test.support.service import ServiceProcess
from test.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
NARROW = (320, 390, 640, 720, 768, 1024)


class Web(http.server.ThreadingHTTPServer):
    """The web server of the recommended list's repository; `text`: the list, None for none."""

    text: str | None = None


@pytest.fixture
def web(git_server: GitServer) -> Iterator[Web]:
    """A recommended list of two packs."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = (found.text or "").encode()
            self.send_response(200 if text else 503)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    packs = [make_pack(git_server, "o", name) for name in ("first", "second")]
    with Web(("127.0.0.1", 0), Handler) as found:
        rows = "".join(f"{pack.url.rsplit('/', 1)[1]},{pack.url},,\n" for pack in packs)
        found.text = f"Name,RepoUrl,Subfolder,RequirementsFile\n{rows}"
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def service(tmp_path: Path, web: Web) -> Iterator[ServiceProcess]:
    """A service whose recommended list is on `web`."""
    with ServiceProcess(tmp_path, auto_installer_repo=f"http://127.0.0.1:{web.server_port}/o/list") as running:
        yield running


def paste(page: Page, text: str) -> None:
    """As Ctrl+V does, into the address's field."""
    page.evaluate(
        """(text) => {
            const field = document.getElementById("ssh");
            field.focus();
            field.value = text;
            field.dispatchEvent(new InputEvent("input", { inputType: "insertFromPaste", bubbles: true }));
        }""",
        text,
    )


def kept_machines(service: ServiceProcess) -> list[str]:
    """The commands of the machines that the service remembers."""
    return [each["ssh_connection"] for each in service.get("/instances")["instances"]]


def known_home(page: Page, standin: StandIn) -> None:
    """The stand-in's folder is none of the usual ones: the page gets it as a person gives it."""
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("ComfyUI’s folder").fill(str(standin.ui_home))


def test_the_keyboard_leads_to_install_in_twelve_stops(service: ServiceProcess, standin: StandIn, tab: OpenTab) -> None:
    """Paste, then Tab: the recommended list is there with its ticks, and one question about the new machine's key. The
    sticky foot never covers what has the focus."""
    page = tab(service.url)
    expect(page.get_by_label("SSH command")).to_be_focused()
    expect(page.locator("#list-count")).to_have_text("2 of 2 chosen")
    page.evaluate("home => (document.getElementById('ui-home').value = home)", str(standin.ui_home))
    page.set_viewport_size({"width": 700, "height": 420})
    paste(page, standin.ssh_command)
    expect(page.get_by_role("button", name="Trust this key")).to_be_visible()
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        covered = """() => {
            const bottom = document.activeElement.getBoundingClientRect().bottom;
            const foot = document.querySelector(".go").getBoundingClientRect().top;
            return !document.activeElement.closest(".go") && bottom > foot + 1;
        }"""
        assert not page.evaluate(covered), stops
        if stops[-1] == "Trust this key":
            page.keyboard.press("Enter")
            expect(page.locator("#tested")).to_contain_text("Connected")
            expect(page.locator("#go")).to_be_enabled()
        if stops[-1] == "go":
            break
    assert stops[-1] == "go"
    expect(page.locator("#go-hint")).to_have_text(f"2 node packs on 127.0.0.1:{standin.port}")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/ui/(workflow|run)/"))


def test_the_mouse_is_enough_and_choices_are_there_again(
    service: ServiceProcess, standin: StandIn, tab: OpenTab, web: Web
) -> None:
    """Untick one; look at other sources and come back; install. The next visit has the machine, the folder, the options
    and "As last time", with what was unticked."""
    page = tab(service.url)
    known_home(page, standin)
    page.get_by_label("If a node pack fails").select_option("rollback")
    paste(page, standin.ssh_command)
    trust(page)
    expect(page.locator("#tested")).to_contain_text(re.compile(r"ComfyUI [\d.]+ is not running"))
    page.get_by_label("Install second").uncheck()
    page.get_by_role("radio", name="Paste").check()
    expect(page.locator("#go-hint")).to_have_text("Choose what to install first.")
    page.get_by_role("radio", name="Recommended").check()
    expect(page.get_by_label("Install second")).not_to_be_checked()
    page.get_by_role("button", name="Install", exact=True).click()
    page.wait_for_url(re.compile("/ui/(workflow|run)/"))
    workflow_id = page.url.rsplit("/", 1)[1].split("?")[0]
    manifest = service.get("/workflow/state", workflow_id=workflow_id)
    assert manifest["ssh_connection"] == standin.ssh_command
    wait_until(lambda: kept_machines(service) == [standin.ssh_command], 30, "the machine is remembered")
    again = tab(service.url)
    expect(again.get_by_role("radio", name="As last time")).to_be_checked()
    expect(again.get_by_label("Install second")).not_to_be_checked()
    again.locator("#known-list button").click()
    expect(again.locator("#tested")).to_contain_text("Connected")
    expect(again.locator("#go-hint")).to_contain_text("1 node pack on ")
    expect(again.locator("#ui-home")).to_have_value(str(standin.ui_home))
    expect(again.locator("#on-failure")).to_have_value("rollback")


def test_what_a_run_installed_can_be_installed_elsewhere(
    service: ServiceProcess, standin: StandIn, tab: OpenTab, web: Web
) -> None:
    """`/?from=RUN_ID`: its list and its options, after the whole recommended list too; an unknown run says so."""
    asked: dict[str, object] = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home)}
    whole = service.install(standin, options={"on_failure": "rollback"})
    page = tab(f"{service.url}/?from={whole}")
    expect(page.get_by_role("radio", name="As in that run")).to_be_checked()
    expect(page.locator("#list-count")).to_have_text("2 of 2 chosen")
    expect(page.locator("#on-failure")).to_have_value("rollback")
    steps = ["test_ssh", "install_custom_nodes"]
    asked |= {"steps": steps, "manifest": {"urls": ["https://github.com/o/only"]}}
    run = service.post("/workflow/start", asked).json()["workflow_id"]
    wait_until(lambda: bool(service.get(f"/runs/{run}")["current"]), 30, "the workflow has its install")
    page.goto(f"{service.url}/?from={run}")
    expect(page.get_by_label("Install only")).to_be_checked()
    expect(page.locator("#list-count")).to_have_text("1 of 1 chosen")


def test_the_recommended_list_is_honest_about_the_web(
    service: ServiceProcess, tab: OpenTab, web: Web, standin: StandIn
) -> None:
    """Nothing kept and no web: it says so, offers the machine, and the whole list can be installed all the same."""
    whole, web.text = web.text, None
    page = tab(service.url)
    said = page.locator("#default-said")
    expect(said).to_contain_text("cannot be read from here now")
    known_home(page, standin)
    paste(page, standin.ssh_command)
    trust(page)
    expect(page.locator("#go-hint")).to_contain_text("The recommended list on ")
    expect(page.get_by_role("button", name="Install", exact=True)).to_be_enabled()
    web.text = whole
    page.get_by_role("button", name="Read it through my machine").click()
    expect(page.locator("#list-rows label")).to_have_count(2)
    expect(said).to_contain_text("Read just now")


def test_what_is_shown_of_the_recommended_list_is_what_is_installed(
    service: ServiceProcess, tab: OpenTab, web: Web, standin: StandIn
) -> None:
    """A list that has changed since is offered, and never put in the place of the one that somebody has looked at."""
    page = tab("about:blank")
    page.clock.install()
    page.goto(service.url)
    expect(page.locator("#list-rows label")).to_have_count(2)
    page.get_by_label("Install second").uncheck()
    newer = service.get("/manifests/default")
    third = {**newer["nodes"][0], "name": "third"}
    newer = {**newer, "nodes": [*newer["nodes"], third], "read_at": "2126-01-31T12:34:12.000Z"}
    page.route("**/manifests/default", lambda route: route.fulfill(json=newer))
    page.clock.fast_forward("01:05:00")
    page.clock.run_for(61_000)
    button = page.get_by_role("button", name="Show the newer list")
    expect(button).to_be_visible()
    expect(page.locator("#list-rows label")).to_have_count(2)
    button.click()
    expect(page.locator("#list-rows label")).to_have_count(3)
    expect(page.get_by_label("Install second")).not_to_be_checked()
    expect(button).to_be_hidden()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("https://cloud.vast.ai/instances/", "This is a web address, not an SSH one."),
        ("ssh -p 22 root@<ip>", "placeholder"),
        ("ssh root@host rm -rf /", "remote command"),
    ],
)
def test_an_address_that_is_none_is_told_beside_the_field(
    service: ServiceProcess, tab: OpenTab, complaints: Complaints, typed: str, said: str
) -> None:
    """With what to do; it goes when the address is edited."""
    complaints.expected.append("400")
    page = tab(service.url)
    field = page.get_by_label("SSH command")
    field.fill(typed)
    page.keyboard.press("Enter")
    expect(page.locator("#ssh-error")).to_contain_text(said)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("button", name="Install", exact=True)).to_be_disabled()
    page.keyboard.type("x")
    expect(page.locator("#ssh-error")).to_be_hidden()


def test_an_edited_address_has_no_result_and_a_machine_that_comes_up_later_may_be_chosen(
    service: ServiceProcess, standin: StandIn, tab: OpenTab
) -> None:
    """A copied command of a provider is read. What a test found is gone with the first letter; an older answer never
    comes back."""
    page = tab(service.url)
    known_home(page, standin)
    paste(page, f"Direct ssh:  {standin.ssh_command} -L 8080:localhost:8080")
    trust(page)
    standin.stop_sshd()
    page.get_by_label("SSH command").press("End")
    page.keyboard.type(" ")
    expect(page.locator("#tested")).to_be_empty()
    page.keyboard.press("Enter")
    expect(page.locator("#tested")).to_contain_text("The machine does not answer.")
    expect(page.locator("#go-hint")).to_contain_text("the install waits for it")
    expect(page.get_by_role("button", name="Install", exact=True)).to_be_enabled()
    standin.start_sshd()
    page.get_by_role("button", name="Test again").click()
    expect(page.locator("#tested")).to_contain_text("Connected")


def test_several_comfyuis_are_a_choice(service: ServiceProcess, standin: StandIn, tab: OpenTab) -> None:
    """Of folders; the chosen one is tested, and goes into the install."""
    homes = [standin.home / "ComfyUI", standin.home / "comfy" / "ComfyUI"]
    for home in homes:
        (home / "custom_nodes").mkdir(parents=True)
        (home / "main.py").touch()
    page = tab(service.url)
    paste(page, standin.ssh_command)
    page.get_by_role("button", name="Trust this key").click()
    choice = page.get_by_role("group", name="This machine has 2 ComfyUIs")
    expect(choice.get_by_role("radio")).to_have_count(2)
    expect(page.locator("#go-hint")).to_have_text("Choose a ComfyUI first.")
    assert faults(page) == []
    choice.get_by_role("radio", name=str(homes[1])).check()
    expect(page.locator("#tested")).to_contain_text("Connected")
    expect(choice.get_by_role("radio", name=str(homes[1]))).to_be_checked()
    expect(page.locator("#ui-home")).to_have_value(str(homes[1]))


def test_pasted_lines_that_are_wrong_are_named_in_one_message(
    service: ServiceProcess, tab: OpenTab, complaints: Complaints
) -> None:
    """By the lines of the field, comments and empty ones counted; a whole list may be pasted too."""
    complaints.expected.append("400")
    page = tab(service.url)
    page.get_by_role("radio", name="Paste").check()
    field = page.get_by_label("Repositories", exact=True)
    field.fill(
        "# mine\nhttps://github.com/o/one\n\nhttps://github.com/o\ngit clone \\\n  https://github.com/o/two\nftp://x/y\n"
    )
    error = page.locator("#list-error")
    expect(error).to_contain_text(re.compile(r"2 lines cannot be read\.\s+Line 4:"))
    expect(error).to_contain_text("Line 7:")
    field.fill("Name;RepoUrl\nOne;https://github.com/o/one\n")
    expect(error).to_be_hidden()
    expect(page.locator("#list-rows label")).to_have_count(1)


def test_it_fits_every_window_and_has_no_serious_fault(
    service: ServiceProcess, tab: OpenTab, context: BrowserContext
) -> None:
    """At each width nothing is cut off; axe in light and dark, with the options open."""
    page = tab(service.url)
    expect(page.locator("#list-rows label")).to_have_count(2)
    page.get_by_text("Options", exact=True).click()
    for width in NARROW:
        page.set_viewport_size({"width": width, "height": 800})
        for source in ("Paste", "File", "Recommended"):
            page.get_by_role("radio", name=source).check()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, source)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults(page) == []
