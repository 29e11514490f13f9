"""Packs of ComfyUI's registry on the command line: behind the SSH command, with `--url`, as answers to questions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from app.cli.commands.ssh_words import SshAndPacks
from app.cli.entry import cli
from test.api.client import closed_address
from test.support.registry_api import RegistryApi, registry_api
from test.support.service import ServiceProcess

IMPACT = "comfyui-impact-pack"


@click.command(cls=SshAndPacks)
@click.argument("ssh_command")
@click.option("--url", "urls", multiple=True)
@click.option("--yes", is_flag=True)
def said(ssh_command: str, urls: tuple[str, ...], *, yes: bool) -> None:
    click.echo(json.dumps([ssh_command, list(urls), yes]))


@pytest.mark.parametrize(
    ("given", "ssh", "packs"),
    [
        (["ssh -p 1 root@h", "a-pack@1.0"], "ssh -p 1 root@h", ["a-pack@1.0"]),
        (["ssh -p 1 root@h", "a-pack", "--yes", "B_pack@v2"], "ssh -p 1 root@h", ["a-pack", "B_pack@v2"]),
        (["ssh", "-p", "1", "root@h", "a-pack@1.0", "b"], "ssh -p 1 root@h", ["a-pack@1.0", "b"]),
        (["root@h", "a-pack"], "root@h", ["a-pack"]),
        (["my-host", "a-pack"], "my-host", ["a-pack"]),
        (["ssh", "my-host", "a-pack@1.0"], "ssh my-host", ["a-pack@1.0"]),
        (["ssh", "my-host"], "ssh my-host", []),
        (["ssh", "root@h", "-p", "22"], "ssh root@h -p 22", []),
        (["root@h", "-i", "key"], "root@h -i key", []),
        (["ssh", "-l", "root", "my-host"], "ssh -l root my-host", []),
        (["root@1.2.3.4"], "root@1.2.3.4", []),
        (["ssh", "root@1.2.3.4"], "ssh root@1.2.3.4", []),
        (["my-host"], "my-host", []),
        (["root@h", "--url", "owner/name", "a-pack"], "root@h", ["owner/name", "a-pack"]),
    ],
)
def test_packs_may_stand_behind_the_ssh_command(given: list[str], ssh: str, packs: list[str]) -> None:
    result = CliRunner().invoke(said, given)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[:2] == [ssh, packs]


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryApi]:
    with registry_api() as found:
        found.add(IMPACT, "8.0.0", "8.1.0", classes=("Shared",), stars=40)
        found.add("other-pack", "2.0.0", classes=("Shared",))
        yield found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, registry: RegistryApi) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("registry"), registry_url=registry.url) as running:
        yield running


def _install(service: ServiceProcess, *arguments: str) -> Result:
    where = ["--server", service.url, "--wait-seconds", "0"]
    return CliRunner().invoke(cli, ["install", f"ssh {closed_address()}", *arguments, *where])


def _nodes(service: ServiceProcess) -> list[Any]:
    """Of the install that was started last."""
    task = service.get(f"/tasks/{service.get('/tasks')['tasks'][0]['task_id']}")
    return [(node["registry_id"], node["version"]) for node in task["request"]["manifest"]["nodes"]]


def _file(tmp_path: Path, *nodes: tuple[str, dict[str, str]]) -> str:
    path = tmp_path / "some.json"
    graph = {"nodes": [{"id": 1, "type": name, "properties": hints} for name, hints in nodes]}
    path.write_text(json.dumps(graph), "utf-8")
    return str(path)


@pytest.mark.slow
def test_an_id_and_a_version_are_installed(service: ServiceProcess) -> None:
    _install(service, f"{IMPACT}@8.0.0", "other-pack")
    assert _nodes(service) == [(IMPACT, "8.0.0"), ("other-pack", "2.0.0")]
    refused = _install(service, f"{IMPACT}@9.9.9")
    assert refused.exit_code == 1
    assert "has no version 9.9.9" in refused.output


@pytest.mark.slow
def test_a_workflow_is_asked_with_the_registrys_packs_and_answers_are_remembered(
    service: ServiceProcess, tmp_path: Path
) -> None:
    other = _file(tmp_path, ("Shared", {}))
    refused = _install(service, "--workflow", other)
    assert f"Shared: {IMPACT}@8.1.0 or other-pack@2.0.0" in refused.output, refused.output
    result = _install(service, "--workflow", other, "--answer", "pack:Shared=other-pack", "--remember")
    assert "other-pack: Shared (you said so)" in result.stdout, result.output
    assert _nodes(service) == [("other-pack", "2.0.0")]
    one = _file(tmp_path, ("Shared", {}), ("Hinted", {"cnr_id": IMPACT, "ver": "8.0.0"}))
    result = _install(service, "--workflow", one)
    assert f"{IMPACT}@8.0.0: Hinted (the workflow says so)" in result.stdout, result.output
    assert "other-pack: Shared (you said so on 20" in result.stdout
    assert _nodes(service) == [("other-pack", "2.0.0"), (IMPACT, "8.0.0")]
