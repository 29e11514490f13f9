"""The start page for somebody who has no SSH key."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from app.standin.instance import StandIn
from test.browser.conftest import OpenTab
from test.browser.test_accessibility import faults
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.sshd, pytest.mark.slow]


def test_a_key_is_made_and_logs_in(service: ServiceProcess, standin: StandIn, tab: OpenTab) -> None:
    """No key: a button makes one, shows its public part and where to paste it; then the connection works. A key that
    the machine does not know is offered in the same way."""
    page = tab(service.url)
    page.get_by_label("SSH command").fill(standin.address)
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("ComfyUI’s folder").fill(str(standin.ui_home))
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#tested")).to_contain_text("There is no SSH key to log in with.")
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
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#tested")).to_contain_text("does not know your SSH key")
    expect(public).to_contain_text(line.split()[1])
    with (standin.sshd_log.parent / "authorized_keys").open("a") as authorized:
        authorized.write(line + "\n")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#tested")).to_contain_text("Connected.")
