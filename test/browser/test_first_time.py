"""The first try of somebody who has read nothing: what goes wrong is solved from the page alone. docs/first-time.md
tells the same in words."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.browser.conftest import Complaints, OpenTab, trust
from test.browser.run_page import END, choose, downloaded, row, sentence
from test.browser.test_accessibility import faults
from test.browser.test_start_page import paste
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]
HASH = "0123456789" * 4


@pytest.fixture
def standin(standin_factory: Callable[..., StandIn], git_server: GitServer) -> StandIn:
    """An instance whose ComfyUI is in a usual place; other tests' ComfyUIs do not run on it."""
    made = standin_factory(git_base_url=git_server.url, own_processes=os.geteuid() == 0)
    (made.home / "ComfyUI").symlink_to(made.ui_home)
    return made


@pytest.fixture
def keys(service: ServiceProcess) -> Path:
    """The newcomer's ~/.ssh."""
    folder = service.home / ".ssh"
    folder.mkdir(mode=0o700)
    return folder


def copied(standin: StandIn) -> str:
    """The command as a provider's page has it."""
    return f"ssh -p {standin.port} {standin.user}@{standin.host} -L 8080:localhost:8080"


def make_key(path: Path, passphrase: str = "") -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)


def added_at_the_provider(standin: StandIn, line: str) -> None:
    with (standin.sshd_log.parent / "authorized_keys").open("a") as authorized:
        authorized.write(f"{line.strip()}\n")


def trusted(page: Page) -> None:
    """Answers the question about the new machine; the focus stays where the answer is."""
    page.get_by_role("button", name="Trust this key").click()
    expect(page.locator("#tested")).to_be_focused()


def connected(page: Page) -> None:
    page.get_by_role("button", name="Test again").click()
    expect(page.locator("#tested")).to_contain_text("Connected")
    expect(page.locator("#tested")).to_be_focused()


def install(page: Page, urls: list[str]) -> None:
    page.get_by_role("radio", name="Paste").check()
    page.get_by_label("Repositories", exact=True).fill("\n".join(urls))
    expect(page.locator("#go-hint")).to_contain_text(re.compile(r"^\d+ node packs? on "))
    page.get_by_role("button", name="Install", exact=True).click()
    page.wait_for_url(re.compile("/ui/run/"))


def test_no_key_on_this_computer(service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab) -> None:
    """One is made, pasted at the provider, and logs in; before that the page says why it does not."""
    page = tab(service.url)
    tested = page.locator("#tested")
    paste(page, copied(standin))
    trusted(page)
    expect(tested).to_contain_text("There is no SSH key on this computer.")
    expect(page.locator("#go-hint")).to_have_text("There is no SSH key on this computer.")
    page.get_by_role("button", name="Make an SSH key").click()
    expect(page.get_by_role("button", name="Copy", exact=True)).to_be_focused()
    expect(tested).to_contain_text("Paste the public key at your provider, then test again:")
    page.get_by_role("button", name="Test again").click()
    expect(tested).to_contain_text("The machine does not know your SSH key.")
    added_at_the_provider(standin, page.get_by_label("Public key id_ed25519").inner_text())
    connected(page)
    install(page, urls[1:2])
    expect(sentence(page)).to_have_text("The node pack is ready", timeout=END)


def test_a_key_with_a_passphrase_and_a_file_that_is_not_there(
    service: ServiceProcess, standin: StandIn, keys: Path, tab: OpenTab
) -> None:
    """Each is named with the reason, and is not offered for the provider's page: another key is made."""
    make_key(keys / "id_ed25519", "secret")
    page = tab(service.url)
    tested = page.locator("#tested")
    paste(page, f"{copied(standin)} -i ~/.ssh/vast")
    trusted(page)
    expect(tested).to_contain_text("The SSH key on this computer cannot be used.")
    expect(tested).to_contain_text("~/.ssh/vast: no such file")
    expect(tested).to_contain_text("~/.ssh/id_ed25519: needs a passphrase")
    expect(page.get_by_label("Public key")).to_have_count(0)
    assert faults(page) == []
    page.get_by_role("button", name="Make another SSH key").click()
    public = page.get_by_label("Public key id_nodeferry")
    added_at_the_provider(standin, public.inner_text())
    connected(page)


def test_a_key_that_the_command_does_not_name(
    service: ServiceProcess, standin: StandIn, keys: Path, tab: OpenTab
) -> None:
    """A key with a name of its own, which the provider knows already, is a button; it goes into the command."""
    make_key(keys / "vast")
    added_at_the_provider(standin, (keys / "vast.pub").read_text())
    page = tab(service.url)
    paste(page, copied(standin))
    trusted(page)
    expect(page.locator("#tested")).to_contain_text("The command does not say which SSH key to use.")
    page.get_by_role("button", name="Try with vast").click()
    expect(page.locator("#tested")).to_contain_text("Connected")
    expect(page.get_by_label("SSH command")).to_have_value(re.compile(r" -i \S+/vast$"))


def test_several_comfyuis_and_none(service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab) -> None:
    """The chosen one gets the node pack. Where none is found, its folder's field is a button away."""
    other = standin.home / "comfy" / "ComfyUI"
    (other / "custom_nodes").mkdir(parents=True)
    (other / "main.py").touch()
    page = tab(service.url)
    paste(page, standin.ssh_command)
    page.get_by_role("button", name="Trust this key").click()
    expect(page.locator("#go-hint")).to_have_text("Choose a ComfyUI first.")
    page.get_by_role("radio", name=str(standin.home / "ComfyUI")).check()
    expect(page.locator("#tested")).to_contain_text("Connected")
    install(page, urls[1:2])
    expect(sentence(page)).to_have_text("The node pack is ready", timeout=END)
    assert (standin.custom_nodes / "light").is_dir()
    shutil.rmtree(other)
    (standin.home / "ComfyUI").unlink()
    none = tab(service.url)
    paste(none, standin.ssh_command)
    expect(none.locator("#tested")).to_contain_text("ComfyUI was not found on the machine.")
    none.get_by_role("button", name="Give ComfyUI’s folder").click()
    expect(none.get_by_label("ComfyUI’s folder")).to_be_focused()
    none.keyboard.type(str(standin.ui_home))
    none.keyboard.press("Tab")
    expect(none.locator("#tested")).to_contain_text("Connected")


def test_half_broken_files(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, complaints: Complaints
) -> None:
    """What is wrong is named by its place, and it goes on without it; what is no list is named for what it is."""
    complaints.expected.append("400")
    page = tab(service.url)
    paste(page, standin.ssh_command)
    trust(page)
    page.get_by_role("radio", name="File").check()
    light = urls[1]
    halves = {
        "half.csv": (f"Name,RepoUrl\nlight,{light}\nother,nonsense\n", "Line 3 cannot be read", "Go on without it"),
        "half.txt": (f"# mine\n{light}\n\nsome words\n", "Line 4 cannot be read", "Go on without it"),
        "half.json": (
            json.dumps({"nodes": [{"name": "a"}, {"name": "light", "repo_url": light}, {"name": "b"}]}),
            "Entry 3: A repository URL is missing.",
            "Go on without them",
        ),
        "snapshot.json": (
            json.dumps({"git_custom_nodes": {light: {"hash": HASH}}, "cnr_custom_nodes": {"x": "nightly"}}),
            "",
            "",
        ),
    }
    for name, (text, said, button) in halves.items():
        choose_file(page, name, text.encode())
        if button:
            expect(page.locator("#list-error")).to_contain_text(said)
            expect(page.get_by_role("button", name="Install", exact=True)).to_be_disabled()
            page.get_by_role("button", name=button).click()
            expect(page.locator("#list-search")).to_be_focused()
        expect(page.locator("#left-out")).to_contain_text("cannot be installed")
        expect(page.locator("#list-rows label")).to_have_count(1)
        expect(page.locator("#go-hint")).to_contain_text("1 node pack on ")
    for name, content, said in (
        ("list.json", f'{{"urls": [\n"{light}"\n"{light}"]}}'.encode(), "broken JSON: its mistake is in line 3"),
        ("list.csv", b"\x89PNG\r\n\x1a\n" + bytes(600), "list.csv: No workflow was saved with this PNG picture."),
    ):
        choose_file(page, name, content)
        expect(page.locator("#list-error")).to_contain_text(said)
        expect(page.locator("#list-leave")).to_be_hidden()
        assert page.evaluate("document.activeElement !== document.body")


def choose_file(page: Page, name: str, content: bytes) -> None:
    page.locator("#file").set_input_files(FilePayload(name=name, mimeType="text/plain", buffer=content))


def test_a_node_pack_that_fails(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, git_server: GitServer
) -> None:
    """The others are ready; what helps stands beside them: the address as a link, and a button to correct it."""
    page = tab(service.url)
    paste(page, standin.ssh_command)
    trust(page)
    install(page, urls[1:])
    expect(sentence(page)).to_have_text("1 of 2 node packs ready, 1 failed", timeout=END)
    needs = page.locator("#needs")
    expect(needs).to_contain_text("Check the repository's address: it may have been renamed, moved or deleted.")
    expect(needs.get_by_role("link", name=urls[2])).to_have_attribute("target", "_blank")
    assert faults(page) == []
    needs.get_by_role("link", name="Correct the address").click()
    field = page.get_by_label("Repositories", exact=True)
    expect(field).to_be_focused()
    expect(field).to_have_value(urls[2])
    expect(page.locator("#tested")).to_contain_text("Connected")
    field.fill(make_pack(git_server, "o", "right").url)
    expect(page.get_by_label("Install right")).to_be_checked()
    page.get_by_role("button", name="Install", exact=True).click()
    page.wait_for_url(re.compile("/ui/run/"))
    expect(sentence(page)).to_have_text("The node pack is ready", timeout=END)


def test_a_line_that_is_cut(
    service: ServiceProcess, standin: StandIn, urls: list[str], tab: OpenTab, heavy: threading.Event
) -> None:
    """It says that the install goes on, shows nothing as live, is tried again by a button that keeps the focus, and
    ends as if nothing had been."""
    page = tab(service.url)
    paste(page, standin.ssh_command)
    trust(page)
    install(page, urls[:2])
    downloaded(page, "heavy")
    standin.stop_sshd()
    standin.kill_connections()
    expect(sentence(page)).to_have_text("The line to the machine is cut; the install goes on there")
    expect(page.locator("[data-ref=left]")).to_have_text(re.compile(r"^Try(ing| \d+ in)"))
    expect(row(page, "heavy")).to_contain_text(re.compile(r"last heard: downloading \d+ %"))
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("button", name="Try now")).to_be_focused()
    standin.start_sshd()
    heavy.set()
    choose(page, "Try now")
    expect(sentence(page)).to_have_text("All 2 node packs are ready", timeout=END)
    assert page.evaluate("document.activeElement !== document.body")
