"""`install --workflow FILE`: what it needs is said with its reason, asked where it is not certain, and installed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from app.cli.entry import cli
from app.cli.view.workflow_needs import grouped, names_of, show_question
from test.api.client import closed_address
from test.support.service import ServiceProcess

SAMPLES = Path(__file__).parents[1] / "workflowfile/samples"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One without a map of packs: workflows are read by their own hints."""
    folder = tmp_path_factory.mktemp("workflows")
    with ServiceProcess(folder, node_map_url="", stats_url="") as running:
        yield running


def _install(service: ServiceProcess, *arguments: str) -> Result:
    where = ["--server", service.url, "--wait-seconds", "0"]
    return CliRunner().invoke(cli, ["install", f"ssh {closed_address()}", *arguments, *where])


def _file(tmp_path: Path, *nodes: tuple[str, dict[str, str]]) -> str:
    graph: dict[str, Any] = {"nodes": [{"id": 1, "type": name, "properties": hints} for name, hints in nodes]}
    path = tmp_path / "some.json"
    path.write_text(json.dumps(graph), "utf-8")
    return str(path)


def _lists(service: ServiceProcess) -> list[dict[str, Any]]:
    """The lists of the installs that were started, the newest first."""
    tasks = [service.get(f"/tasks/{task['task_id']}") for task in service.get("/tasks")["tasks"]]
    return [task["request"]["manifest"] for task in tasks]


def test_its_packs_are_said_with_their_reason_and_installed(service: ServiceProcess, tmp_path: Path) -> None:
    one = _file(tmp_path, ("ImageResize+", {"aux_id": "cubiq/ComfyUI_essentials"}), ("KSampler", {}))
    result = _install(service, "--workflow", one)
    assert "(workflow JSON) needs 1 node pack:" in result.stdout, result.output
    assert "ComfyUI_essentials: ImageResize+ (the workflow says so)" in result.stdout
    assert [node["name"] for node in _lists(service)[0]["nodes"]] == ["ComfyUI_essentials"]


def test_what_is_not_certain_starts_nothing_in_a_script_until_it_is_answered(
    service: ServiceProcess, tmp_path: Path
) -> None:
    before = len(_lists(service))
    refused = _install(service, "--workflow", _file(tmp_path, ("Nowhere", {})))
    assert refused.exit_code == 1
    assert '--answer "pack:Nowhere=https://github.com/owner/name"' in refused.output
    assert len(_lists(service)) == before
    _install(service, "--workflow", _file(tmp_path, ("Nowhere", {})), "--answer", "pack:Nowhere=https://github.com/a/b")
    assert [node["repo_url"] for node in _lists(service)[0]["nodes"]] == ["https://github.com/a/b"]


def test_several_files_are_one_list(service: ServiceProcess, tmp_path: Path) -> None:
    one = _file(tmp_path, ("Foo", {"aux_id": "a/foo"}))
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"nodes": [{"id": 1, "type": "Bar", "properties": {"aux_id": "a/bar"}}]}), "utf-8")
    said = _install(service, "--workflow", one, "--workflow", str(other)).output
    assert [node["name"] for node in _lists(service)[0]["nodes"]] == ["foo", "bar"]
    assert "bar: Bar (the workflow says so, for other.json)" in said
    broken = tmp_path / "x.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    said = _install(service, "--workflow", str(broken), "--workflow", str(other)).output
    assert "x.png is left out: No workflow was saved with this PNG picture" in said
    assert [node["name"] for node in _lists(service)[0]["nodes"]] == ["bar"]


def test_what_only_opens_it_is_said_and_installed_when_asked_for(service: ServiceProcess, tmp_path: Path) -> None:
    path = tmp_path / "muted.json"
    nodes = [
        {"id": 1, "type": "Foo", "properties": {"aux_id": "a/foo"}},
        {"id": 2, "type": "Muted", "mode": 2, "properties": {"aux_id": "m/muted"}},
    ]
    path.write_text(json.dumps({"nodes": nodes}), "utf-8")
    said = _install(service, "--workflow", str(path)).output
    assert "1 more is only there to open it without red nodes: --needed open" in said
    assert [node["name"] for node in _lists(service)[0]["nodes"]] == ["foo"]
    _install(service, "--workflow", str(path), "--needed", "open")
    assert [node["name"] for node in _lists(service)[0]["nodes"]] == ["foo", "muted"]


def test_a_template_by_name_says_what_brings_it_where_it_is_not_there(service: ServiceProcess) -> None:
    said = _install(service, "--template", "flux").output
    assert "pip install comfyui-workflow-templates-json" in said


def test_a_workflow_that_needs_no_pack_is_checked_at_once(service: ServiceProcess, tmp_path: Path) -> None:
    """A machine that cannot be asked is neither ready nor unready."""
    result = _install(service, "--workflow", _file(tmp_path, ("KSampler", {})))
    assert "ComfyUI itself has everything" in result.stdout
    assert result.exit_code == 3
    assert "Error:" in result.output and "Traceback" not in result.output


def test_only_a_check_asks_nothing_about_packs_and_needs_a_workflow(service: ServiceProcess, tmp_path: Path) -> None:
    before = len(_lists(service))
    result = _install(service, "--check-only", "--workflow", _file(tmp_path, ("Nowhere", {})))
    assert (result.exit_code, "not certain" in result.output, len(_lists(service))) == (3, False, before)
    refused = _install(service, "--check-only", "--url", "https://github.com/a/b")
    assert (refused.exit_code, "--check-only is about a workflow" in refused.output) == (1, True)


def test_a_file_without_a_workflow_and_two_lists_are_refused(service: ServiceProcess, tmp_path: Path) -> None:
    empty = tmp_path / "x.png"
    empty.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "No workflow was saved with this PNG picture" in _install(service, "--workflow", str(empty)).output
    both = _install(service, "--workflow", str(empty), "--url", "https://github.com/a/b")
    assert "--url and --workflow cannot be used together" in both.output


def test_what_is_left_out_on_purpose_is_not_said_to_be_in_comfyui(service: ServiceProcess, tmp_path: Path) -> None:
    result = _install(service, "--workflow", _file(tmp_path, ("Nowhere", {})), "--answer", "pack:Nowhere=skip")
    assert result.exit_code == 3  # the machine that would say whether it is ready is not there
    assert "no node pack is left to install" in result.stdout and "0 node packs" not in result.stdout


def test_what_comfyui_itself_lacks_is_said(service: ServiceProcess, tmp_path: Path) -> None:
    nodes = [
        ("FluxProCannyNode", {"cnr_id": "comfy-core"}),
        ("AddLayer", {}),
        ("\x1b[2J", {}),
        ("Foo", {"aux_id": "a/foo"}),
    ]
    said = _install(service, "--workflow", _file(tmp_path, *nodes)).stdout
    assert (
        "ComfyUI dropped a node: ComfyUI had these nodes once and has them no longer: FluxProCannyNode (until" in said
    )
    assert "It needs ComfyUI 0.31.0 or newer." in said
    assert "1 node with an unreadable name was ignored." in said


def _question(name: str, *addresses: str) -> dict[str, Any]:
    about = {"stars": 96, "last_update": "2025-12-10T00:00:00Z", "also": ["Other"]}
    candidates = [{"answer": address, **about} for address in addresses]
    return {"question_id": f"pack:{name}", "class": name, "registry_id": None, "candidates": candidates}


def test_classes_of_the_same_packs_are_one_question_with_whole_addresses() -> None:
    long = "https://github.com/somebody-with-a-long-name/comfyui-a-pack-with-a-long-name"
    asked = [_question("A", long, "https://b/c"), _question("X"), _question("B", long, "https://b/c"), _question("Y")]
    groups = grouped(asked)
    assert [names_of(group) for group in groups] == ["A, B", "X", "Y"]
    console = Console(record=True, width=60, force_terminal=True, file=io.StringIO())
    show_question(console, groups[0])
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines == [
        "Which node pack has A, B?",
        f"  1  {long}",
        "     96 stars · changed 2025-12-10",
        "  2  https://b/c  96 stars · changed 2025-12-10",
    ]
