"""The start page for somebody who has no SSH key, and for somebody whose machine shows another host key."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from app.standin.instance import StandIn
from test.browser.conftest import Complaints, OpenTab, trust
from test.browser.test_accessibility import faults
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]


def at_the_start(service: ServiceProcess, standin: StandIn, tab: OpenTab, command: str) -> Page:
    """The start page with an address and ComfyUI's folder, tested."""
    page = tab(service.url)
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("ComfyUI’s folder").fill(str(standin.ui_home))
    page.get_by_label("SSH command").fill(command)
    page.keyboard.press("Enter")
    return page


def another_key(standin: StandIn) -> None:
    standin.stop_sshd()
    standin.change_host_key()
    standin.start_sshd()


def test_a_key_is_made_and_logs_in(service: ServiceProcess, standin: StandIn, tab: OpenTab) -> None:
    """No key: a button makes one, shows its public part and where to paste it; then the connection works. A key that
    the machine does not know is offered in the same way."""
    page = at_the_start(service, standin, tab, standin.address)
    tested = page.locator("#tested")
    page.get_by_role("button", name="Trust this key").click()
    expect(tested).to_contain_text("There is no SSH key on this computer.")
    expect(page.get_by_role("button", name="Install", exact=True)).to_be_disabled()
    page.get_by_role("button", name="Make an SSH key").click()
    public = page.get_by_label("Public key id_ed25519")
    expect(public).to_contain_text("ssh-ed25519 ")
    expect(page.get_by_role("link", name="vast.ai")).to_have_attribute("href", re.compile("^https://"))
    expect(page.get_by_role("link", name="RunPod")).to_be_visible()
    assert faults(page) == []
    line = public.inner_text()
    assert line.split()[:2] == (service.home / ".ssh" / "id_ed25519.pub").read_text().split()[:2]
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name=re.compile("Copied|by hand"))).to_be_visible()
    page.get_by_role("button", name="Test again").click()
    expect(tested).to_contain_text("does not know your SSH key")
    expect(public).to_contain_text(line.split()[1])
    with (standin.sshd_log.parent / "authorized_keys").open("a") as authorized:
        authorized.write(line + "\n")
    page.get_by_role("button", name="Test again").click()
    expect(tested).to_contain_text("Connected")


def test_the_key_that_was_shown_is_trusted_and_no_other(
    service: ServiceProcess, standin: StandIn, tab: OpenTab, complaints: Complaints
) -> None:
    """At first contact: the machine shows another key when the answer comes. Nothing is trusted, and the question is
    asked anew, with the key of then. The button that trusts never has the focus by itself."""
    complaints.expected.append("409")
    page = at_the_start(service, standin, tab, standin.ssh_command)
    question = page.get_by_role("group", name="First time on this machine")
    expect(question).to_contain_text(standin.host_key_sha256)
    expect(page.get_by_label("SSH command")).to_be_focused()
    expect(page.locator("#go-hint")).to_have_text("Decide about the machine’s key first.")
    assert faults(page) == []
    another_key(standin)
    question.get_by_role("button", name="Trust this key").click()
    expect(page.locator("#tested")).to_contain_text("Nothing was trusted")
    expect(question).to_contain_text(standin.host_key_sha256)
    expect(question.get_by_role("button", name="Trust this key")).not_to_be_focused()
    assert service.get("/host-keys")["host_keys"] == []
    trust(page)
    assert [key["sha256"] for key in service.get("/host-keys")["host_keys"]] == [standin.host_key_sha256]


def test_a_machine_that_comes_later_is_asked_about_then(
    service: ServiceProcess, standin: StandIn, tab: OpenTab
) -> None:
    """The install was started while the machine still booted: its key is a question alone on the run's page."""
    standin.stop_sshd()
    page = at_the_start(service, standin, tab, standin.ssh_command)
    expect(page.get_by_role("button", name="Install", exact=True)).to_be_enabled(timeout=30_000)
    page.get_by_role("button", name="Install", exact=True).click()
    page.wait_for_url("**/ui/run/*")
    standin.start_sshd()
    question = page.locator("#question")
    expect(question.get_by_role("heading", name="First time on this machine")).to_be_focused(timeout=40_000)
    expect(question).to_contain_text(standin.host_key_sha256)
    assert faults(page) == []
    assert service.get("/host-keys")["host_keys"] == []
    question.get_by_role("button", name="Trust this key").click()
    expect(question).to_be_hidden()
    assert [key["sha256"] for key in service.get("/host-keys")["host_keys"]] == [standin.host_key_sha256]


def test_a_changed_key_is_a_question_with_the_older_one_s_date(
    service: ServiceProcess, standin: StandIn, tab: OpenTab
) -> None:
    """Both keys are shown. No: nothing is trusted, and it can be tested again. Yes: the machine is connected."""
    asked = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home)}
    assert service.post("/ssh/test", asked).json()["success"]
    older = standin.host_key_sha256
    another_key(standin)
    page = at_the_start(service, standin, tab, standin.ssh_command)
    question = page.get_by_role("group", name="Another machine answers at this address than before")
    expect(question).to_contain_text(re.compile(r"Known since .*20\d\d.*" + re.escape(older), re.DOTALL))
    expect(question).to_contain_text(standin.host_key_sha256)
    assert faults(page) == []
    question.get_by_role("button", name="Do not trust it").click()
    expect(page.locator("#tested")).to_contain_text("you did not trust")
    expect(page.get_by_role("button", name="Install", exact=True)).to_be_disabled()
    page.get_by_role("button", name="Test again").click()
    question.get_by_role("button", name="It is a new machine: trust this key").click()
    expect(page.locator("#tested")).to_contain_text("Connected")
