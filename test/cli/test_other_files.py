"""`install --file` and `tasks lock`: files of other tools, given and got at the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from app.cli.entry import cli
from app.protocol.other_files.own_script import write_script
from test.api.client import closed_address
from test.lock.test_lock_route import LOCK, TASK_ID, record
from test.lock.test_other_files import ONE, PROVISIONING
from test.support.service import ServiceProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("files")
    record(folder / "service-data")
    with ServiceProcess(folder, node_map_url="", stats_url="", registry_url="") as running:
        yield running


def types(service: ServiceProcess, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--server", service.url])


def install(service: ServiceProcess, path: Path) -> tuple[Result, dict[str, Any]]:
    """What was said, and the list of the install that was started."""
    result = types(service, "install", f"ssh {closed_address()}", "--file", str(path), "--wait-seconds", "0")
    task = service.get("/tasks")["tasks"][0]["task_id"]
    return result, service.get(f"/tasks/{task}")["request"]["manifest"]


def test_a_file_of_another_tool_is_installed_and_says_what_it_leaves_out(
    service: ServiceProcess, tmp_path: Path
) -> None:
    (tmp_path / "any name").write_text(yaml.safe_dump(PROVISIONING))
    result, manifest = install(service, tmp_path / "any name")
    assert [node["repo_url"] for node in manifest["nodes"]] == [ONE]
    assert "Not installed: apt_packages: ffmpeg: System packages are not installed from files." in result.output


def test_of_a_script_of_ours_only_the_lock_is_sent(service: ServiceProcess, tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_text(write_script(LOCK, b"\xff" * 1_500_000))
    _, manifest = install(service, tmp_path / "start.sh")
    assert manifest == {"lock": LOCK}


def test_a_broken_file_is_refused_with_its_line(service: ServiceProcess, tmp_path: Path) -> None:
    (tmp_path / "bad.sh").write_text("#!/bin/bash\nNODES=(\n")
    result = types(service, "install", "ssh root@h", "--file", str(tmp_path / "bad.sh"))
    assert result.exit_code == 1
    assert "Line 2: the array NODES=( is never closed" in result.stderr


@pytest.mark.parametrize("form", ["lock", "manager-snapshot", "comfy-build", "provisioning", "on-start"])
def test_a_lock_is_had_in_each_form(service: ServiceProcess, tmp_path: Path, form: str) -> None:
    """Printed, or in a file of which the size is said, with what to do next."""
    target = tmp_path / "new folder" / "file"
    result = types(service, "tasks", "lock", TASK_ID, "--as", form, "--output", str(target))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(str(target))
    assert ("Then, at the machine's start: " in result.stderr) is (form in ("provisioning", "on-start"))
    text = target.read_text()
    if form == "lock":
        assert json.loads(text) == LOCK
    elif form == "manager-snapshot":
        assert list(json.loads(text)["git_custom_nodes"]) == [ONE]
    else:
        assert types(service, "tasks", "lock", TASK_ID, "--as", form).stdout == text
