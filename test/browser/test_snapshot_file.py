"""A snapshot that is dropped onto the page: what cannot be had is told before anything is installed."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from test.browser.conftest import OpenTab
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HASH = "0123456789" * 4


def test_the_preview_names_what_cannot_be_had(service: ServiceProcess, tab: OpenTab) -> None:
    """Also of a file that PowerShell wrote, and one that is not quite JSON."""
    snapshot = json.dumps(
        {
            "git_custom_nodes": {"https://github.com/o/one": {"hash": HASH}, "/root/mine": {"hash": HASH}},
            "cnr_custom_nodes": {"comfyui-kjnodes": "1.0.5"},
        },
        indent=4,
    )
    page = tab(service.url)
    page.get_by_text("A file", exact=True).click()
    for name, content in (
        ("snapshot.json", snapshot.encode("utf-16")),
        ("snapshot.json", snapshot.replace("}\n}", "},\n}").encode()),
        ("snapshot.yaml", f"git_custom_nodes:\n  ? https://github.com/o/one\n  : hash: {HASH}\n".encode()),
    ):
        page.locator("#file").set_input_files({"name": name, "mimeType": "text/plain", "buffer": content})
        expect(page.locator("#list-rows tr")).to_have_count(1)
        if name.endswith("json"):
            expect(page.locator("#left-out")).to_contain_text("2 entries of the list cannot be installed")
            expect(page.locator("#left-out")).to_contain_text("comfy node registry-install comfyui-kjnodes")
        else:
            expect(page.locator("#left-out")).to_be_hidden()
