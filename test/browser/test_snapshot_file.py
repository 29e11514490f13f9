"""Files that are chosen or dropped: lists in every form, and others, which are named for what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from playwright.sync_api import FilePayload, Page, expect

from test.browser.conftest import Complaints, OpenTab
from test.support.service import ServiceProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HASH = "0123456789" * 4
SNAPSHOT = json.dumps(
    {
        "git_custom_nodes": {"https://github.com/o/one": {"hash": HASH}, "/root/mine": {"hash": HASH}},
        "cnr_custom_nodes": {"comfyui-kjnodes": "nightly"},
    },
    indent=4,
)
EXCEL = "\ufeffName;RepoUrl;Subfolder;RequirementsFile\r\nOne;https://github.com/o/one;;\r\nTwo;https://github.com/o/two;;\r\n"
NO_LISTS: Mapping[str, tuple[bytes, str]] = {
    "fox.png": (b"\x89PNG\r\n\x1a\n" + bytes(600), "fox.png: No workflow was saved with this PNG picture"),
    "cat.csv": (b"\xff\xd8\xff\xe0" + bytes(600), "cat.csv: No workflow was saved with this JPEG picture"),
    "pack.zip": (b"PK\x03\x04" + bytes(600), "packed archive"),
    "model.safetensors": (b"\x40\x01\0\0\0\0\0\0" + b'{"__metadata__":{}}', "is a model"),
    "page.csv": (b"<!DOCTYPE html>\n<html><body>custom_nodes.csv</body></html>", "is a saved web page"),
    "broken.json": (b'{\n "urls": [\n  "https://github.com/o/one"\n  "https://github.com/o/two"\n ]\n}', "in line 4"),
    "other.json": (b'{"version": 3}', "has no node packs in it"),
    "requirements.txt": (b"numpy==1.26.4\ntorch>=2\n", "list of Python packages"),
    "empty.csv": (b"", "empty.csv is empty"),
    "wrong.csv": (b"# mine\n\nName,RepoUrl\nOne,https://github.com/o/one\n\nTwo,nonsense\n", "Line 6"),
    "quote.csv": (b'Name,RepoUrl\nOne,https://github.com/o/one\n"Two,https://github.com/o/two\n', "Line 3"),
    "program": (b"\x7fELF" + bytes(200), "no text"),
}


def choose(page: Page, name: str, content: bytes) -> None:
    page.locator("#file").set_input_files(FilePayload(name=name, mimeType="text/plain", buffer=content))


def test_the_preview_names_what_cannot_be_had(service: ServiceProcess, tab: OpenTab) -> None:
    """Also of a file that PowerShell wrote, and one that is not quite JSON."""
    page = tab(service.url)
    page.get_by_role("radio", name="File").check()
    for name, content in (
        ("snapshot.json", SNAPSHOT.encode("utf-16")),
        ("snapshot.json", SNAPSHOT.replace("}\n}", "},\n}").encode()),
        ("snapshot.yaml", f"git_custom_nodes:\n  ? https://github.com/o/one\n  : hash: {HASH}\n".encode()),
    ):
        choose(page, name, content)
        expect(page.locator("#list-rows label")).to_have_count(1)
        if name.endswith("json"):
            expect(page.locator("#left-out")).to_contain_text("2 entries of the list cannot be installed")
            expect(page.locator("#left-out")).to_contain_text("Its nightly version is its repository")
        else:
            expect(page.locator("#left-out")).to_be_hidden()


def test_a_list_from_excel_is_read_wherever_it_is_dropped(service: ServiceProcess, tab: OpenTab) -> None:
    """With semicolons, a mark at its beginning, as Unicode text too. The source follows the file."""
    page = tab(service.url)
    for name, content in (("packs.csv", EXCEL.encode()), ("packs.txt", EXCEL.replace(";", "\t").encode("utf-16"))):
        page.evaluate(
            """([name, bytes]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], name));
                const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
                document.querySelector("h1").dispatchEvent(new DragEvent("drop", how));
            }""",
            [name, list(content)],
        )
        expect(page.get_by_role("radio", name="File")).to_be_checked()
        expect(page.locator("#file-chosen")).to_have_text(f"{name} · 2 node packs")
        expect(page.locator("#list-rows label")).to_have_count(2)


def test_what_is_no_list_is_named_for_what_it_is(service: ServiceProcess, tab: OpenTab, complaints: Complaints) -> None:
    """By its content, whatever its name says; a broken list by the line of its mistake. What stood there is gone."""
    complaints.expected.append("400")
    page = tab(service.url)
    page.get_by_role("radio", name="File").check()
    choose(page, "good.csv", EXCEL.encode())
    for name, (content, said) in NO_LISTS.items():
        choose(page, name, content)
        expect(page.locator("#list-error")).to_contain_text(said)
        expect(page.locator("#list")).to_be_hidden()
