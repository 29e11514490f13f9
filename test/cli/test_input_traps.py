"""What people type that is nearly right is understood, or named for what it is, before anything is sent."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli.api.manifest_sources import manifest_of
from app.cli.entry import cli
from app.domain.address import parse_address
from app.protocol.manifest import NodePack, parse_csv
from test.cli.scripted_service import Script, serving
from test.cli.stories import ended

URL = "https://github.com/o/pack"
HOME = ["--ui-home", "/workspace/ComfyUI"]
LISTED = ["--url", URL]
NODE = {"id": 1, "type": "KSampler", "properties": {"cnr_id": "kj", "aux_id": "kijai/ComfyUI-KJNodes"}}


def sent(*words: str, env: dict[str, str] | None = None) -> tuple[Result, dict[str, Any]]:
    """What a command line sends to a service, and how it ends."""
    script = Script([ended("all").progress])
    with serving(script) as url:
        result = CliRunner().invoke(cli, [*words, *HOME, "--server", url], env=env)
    return result, script.seen[0][2] if script.seen else {}


@pytest.mark.parametrize(
    "words",
    [
        ["ssh", "-p", "1", "root@h", "-i", "/k", *LISTED],
        ["ssh", "-p1", *LISTED, "root@h", "-i", "/k"],
        [*LISTED, "ssh", "-i", "/k", "root@h", "-p", "1", "-L", "8080:localhost:8080", "-NT"],
        ["ssh", "-oStrictHostKeyChecking=no", "-p", "1", "-i", "/k", "root@h", *LISTED],
        ["-p", "1", "root@h", "-i", "/k", *LISTED],
        ["root@h:1", "-i", "/k", *LISTED],
        ["ssh -p 1 root@h", "-i", "/k", *LISTED],
        ["ssh -p 1 -i /k root@h", *LISTED],
    ],
)
def test_an_ssh_command_needs_no_quotes(words: list[str]) -> None:
    """Its options have one hyphen and ours have two, in any order; `-o…Checking` is not our `-h`."""
    result, body = sent("install", *words)
    assert result.exit_code == 0, result.output
    assert parse_address(body["ssh_connection"]) == parse_address("ssh -p 1 -i /k root@h")
    assert body["manifest"] == {"urls": [URL]}


def test_a_key_with_a_space_and_a_flag_stay_what_they_are() -> None:
    result, body = sent("install", "--no-verify", "ssh", "-i", "/my key", "root@h", *LISTED)
    assert (result.exit_code, body["options"]["verify"]) == (0, False)
    assert parse_address(body["ssh_connection"]).identity_files == ("/my key",)


def test_help_and_mistakes_are_ours_still() -> None:
    assert "SSH_COMMAND" in CliRunner().invoke(cli, ["install", "-h"]).output
    assert "Missing argument" in CliRunner().invoke(cli, ["install", *LISTED]).output
    assert "--csv" in CliRunner().invoke(cli, ["install", "root@h", "--cvs", "x"]).output


def test_a_relative_key_is_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service runs in another folder: it gets the whole path. One that begins with ~ is sent as it is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "k 1").write_text("key")
    for typed in ("keys/k 1", "./keys/k 1"):
        _, body = sent("install", "ssh", "-p", "1", "-i", typed, "root@h", *LISTED)
        assert parse_address(body["ssh_connection"]).identity_files == (str(tmp_path / "keys" / "k 1"),)
        assert parse_address(body["ssh_connection"]).port == 1
    _, body = sent("install", "ssh -p 1 -i ~/.ssh/k root@h", *LISTED)
    assert body["ssh_connection"] == "ssh -p 1 -i ~/.ssh/k root@h"


@pytest.mark.parametrize("command", ["install", "workflow"])
def test_a_missing_key_file_is_said_before_anything_is_started(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With where it may be instead. A key that only an agent has is named by its public half, which is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    result, body = sent(command, "ssh", "-i", "vast", "root@h", *LISTED)
    assert (result.exit_code, body) == (1, {})
    assert result.stderr.startswith("Error: There is no key file vast.\n")
    assert str(tmp_path) in result.stderr
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "vast").write_text("key")
    assert "-i ~/.ssh/vast" in sent(command, "ssh", "-i", "vast", "root@h", *LISTED)[0].stderr
    (tmp_path / "agents.pub").write_text("ssh-ed25519 AAAA")
    assert sent("install", "ssh", "-i", "agents", "root@h", *LISTED)[0].exit_code == 0
    gone = CliRunner().invoke(cli, ["install", "ssh", "-i", "/gone", "root@h", "--data-dir", str(tmp_path / "d")])
    assert gone.exit_code == 1 and "leave -i out" in gone.stderr
    assert not os.path.exists(tmp_path / "d")


def workbook() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    return made.getvalue()


@pytest.mark.parametrize(
    ("option", "content", "said", "hint"),
    [
        ("nodes", {"nodes": [NODE], "links": []}, "a workflow of ComfyUI", "--workflow"),
        ("nodes", {"nodes": [], "last_node_id": 0}, "a workflow of ComfyUI", "--workflow"),
        ("nodes", {"3": {"class_type": "KSampler", "inputs": {}}}, "a workflow of ComfyUI in the format", "--workflow"),
        ("nodes", {"prompt": {"3": {"class_type": "K"}}}, "a workflow of ComfyUI in the format", "--workflow"),
        ("nodes", {"custom_nodes": {URL: {}}, "unknown_nodes": []}, "dependencies of comfy-cli", "--file"),
        ("nodes", {"customNodes": []}, "a file of another tool", "--file"),
        ("csv", b"#!/bin/bash\nNODES=(\n)\n", "a file of another tool", "--file"),
        ("csv", b"version: 1\ngit_repos: []\n", "a file of another tool", "--file"),
        ("nodes", {"custom_nodes": [{"title": "x"}]}, "ComfyUI-Manager's catalogue", "--url"),
        ("nodes", {"git_custom_nodes": {}}, "a snapshot of ComfyUI-Manager", "--snapshot"),
        ("nodes", {"node_packs": [], "packages": []}, "the lock of an earlier install", "--lock"),
        ("nodes", {"task_id": "x", "state": "completed", "nodes": []}, "the progress of an install", "tasks retry"),
        ("nodes", b"Name,RepoUrl\n", "a CSV", "--csv"),
        ("nodes", b"name;repourl\n", "a CSV", "--csv"),
        ("nodes", f"{URL}\n".encode(), "a list of addresses", "--url"),
        ("nodes", b"torch>=2\nnumpy\n", "a list of Python packages", "repositories"),
        ("nodes", b"\n<!DOCTYPE html>\n<html>", "a web page", "Raw"),
        ("nodes", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "a private key", "-i"),
        ("nodes", b"\x89PNG\r\n\x1a\n", "a picture", "text"),
        ("csv", workbook(), "an Excel workbook", "text"),
        ("csv", b"<!doctype html>", "a web page", "Raw"),
        ("csv", {"nodes": [NODE], "links": []}, "a workflow of ComfyUI", "--workflow"),
        ("csv", [{"name": "a"}], "is JSON, not a CSV", "--nodes"),
        ("csv", b"  \n", "is empty", "line"),
        ("lock", {"nodes": [NODE], "links": []}, "a workflow of ComfyUI", "--workflow"),
        ("lock", b"Name,RepoUrl\n", "a CSV", "--csv"),
        ("snapshot", {"nodes": [NODE], "links": []}, "a workflow of ComfyUI", "--workflow"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, option: str, content: Any, said: str, hint: str) -> None:
    """And what to do with it; nothing is sent."""
    path = tmp_path / "my file"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    result, body = sent("install", "root@h", f"--{option}", str(path))
    assert (result.exit_code, body) == (1, {}), result.output
    first, second = result.stderr.splitlines()
    assert first.startswith(f"Error: {path} is ") and said in first
    assert second.startswith("  hint: ") and hint in second


def test_a_list_of_addresses_alone_is_a_list(tmp_path: Path) -> None:
    """As JSON, and as lines of a file, comments among them."""
    for option, text in (("nodes", f'["{URL}"]'), ("csv", f"# mine\n{URL}\n")):
        (tmp_path / "list").write_text(text)
        with (tmp_path / "list").open("rb") as file:
            found = manifest_of({option: file})
        assert found == {"urls": [URL if option == "nodes" else text]}


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header",
    [
        ("name", "repourl", "subfolder", "requirementsfile", "ref"),
        ("NAME", "Repo URL", "Sub-Folder", "Requirements File", "REF"),
        ("name", "repo_url", "subfolder", "requirements_file", "ref"),
        ("Name", "url", "Subfolder", "requirements", "Ref"),
    ],
)
def test_a_csv_is_read_as_people_write_it(mark: str, header: tuple[str, ...]) -> None:
    """Commas, semicolons or tabs; columns in any case and order; the empty cells of a spreadsheet behind the last."""
    row = ("Pack", URL, "sub", "r.txt", "v1")
    expected = [NodePack("Pack", URL, "sub", "r.txt", "v1")]
    assert parse_csv(f"{mark.join(header)}\n{mark.join(row)}\n", ("https",)) == expected
    turned = f"{mark.join(header[::-1])}{mark}{mark}\n{mark.join(row[::-1])}{mark}{mark}\n"
    assert parse_csv(turned, ("https",)) == expected
