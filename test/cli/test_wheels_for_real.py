"""`wheels` through a real service and sshd: what one instance has built is fetched, and the next one builds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from app.cli.program import RUN_FILE
from app.runner.resolve.kept_wheels import listed
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.support.package_index import PackageIndex
from test.support.service import Json, ServiceProcess
from test.support.waiting import wait_until

pytestmark = [pytest.mark.sshd, pytest.mark.slow]

OWN, EARLIER = "built_tool-1.0-py3-none-any.whl", "older_tool-2.0-py3-none-any.whl"

_SLOW_AND_QUICK = (("slow", "slow-tool\n"), ("quick", "built-tool\n"))


@dataclass(frozen=True)
class World:
    """A service, an instance on which two runs have built a wheel each, and a fresh one."""

    folder: Path
    service: ServiceProcess
    git: GitServer
    index: PackageIndex
    first: StandIn
    second: StandIn
    task_id: str

    def install(self, standin: StandIn, name: str, requirements: str, **options: object) -> Json:
        pack = make_pack(self.git, "owner", name, requirements=requirements)
        manifest = {"nodes": [{"name": name, "repo_url": pack.url}]}
        asked = {"wait_seconds": 0, "verify": False, **options}
        done = self.service.ended(self.service.install(standin, manifest=manifest, options=asked))
        assert done["outcome"] == "all", done
        return done

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`run.py` with these words, against the service."""
        argv = [sys.executable, str(RUN_FILE), *words, "--server", self.service.url]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)

    def content(self, **query: object) -> requests.Response:
        url = f"{self.service.url}/tasks/{self.task_id}/wheels/content"
        return requests.get(url, params=query, timeout=60)  # type: ignore[arg-type]

    @property
    def kept(self) -> Path:
        return self.first.home / ".local" / "state" / "nodeferry" / "wheels"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, venv_cache: Path, uv_program: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("wheels")
    with ExitStack() as opened:
        git = opened.enter_context(GitServer(folder / "git"))
        index = opened.enter_context(PackageIndex(folder / "index", cache_headers=False))
        environ = {**os.environ, "UV_DEFAULT_INDEX": index.url, "PIP_CONFIG_FILE": os.devnull}
        standins: list[StandIn] = []
        for name in ("first", "second"):
            how = {"git_base_url": git.url, "with_pip": False, "environ": environ, "venv_cache": venv_cache}
            standin = opened.enter_context(StandIn(folder / name, **how))  # type: ignore[arg-type]
            tool = standin.home / ".local" / "bin" / "uv"
            tool.parent.mkdir(parents=True)
            tool.symlink_to(uv_program)
            standins.append(standin)
        service = opened.enter_context(ServiceProcess(folder, retry_seconds="0.2"))
        first, second = standins
        world = World(folder, service, git, index, first, second, task_id="")
        index.counted_sdist("built-tool", "1.0")
        index.counted_sdist("older-tool", "2.0")
        world.install(world.first, "older", "older-tool\n")
        done = world.install(world.first, "newer", "built-tool\n")
        yield replace(world, task_id=str(done["task_id"]))


def test_what_was_built_is_listed_and_exported_and_serves_the_next_instance(world: World, tmp_path: Path) -> None:
    shown = world.command("wheels", "list", world.task_id)
    assert shown.returncode == 0 and OWN in shown.stdout and EARLIER in shown.stdout, shown
    done = world.command("wheels", "export", world.task_id, str(tmp_path / "own"))
    assert (done.returncode, sorted(os.listdir(tmp_path / "own"))) == (0, [OWN, "index.html"]), done
    done = world.command("wheels", "export", world.task_id, str(tmp_path / "all"), "--all")
    assert sorted(os.listdir(tmp_path / "all")) == [OWN, "index.html", EARLIER], done
    again = world.command("wheels", "export", world.task_id, str(tmp_path / "all"), "--all")
    assert (again.returncode, again.stdout.count("is there")) == (0, 2)
    builds = world.index.builds
    world.install(world.second, "again", "built-tool\nolder-tool\n", wheelhouse=str(tmp_path / "all"))
    assert world.index.builds == builds == ["older-tool==2.0", "built-tool==1.0"]


def test_curl_can_fetch_one(world: World) -> None:
    found = world.service.get(f"/tasks/{world.task_id}/wheels")["wheels"]
    assert [(wheel["name"], wheel["own"]) for wheel in found] == [(OWN, True), (EARLIER, False)]
    whole = world.content(name=OWN)
    (kept,) = [kept for kept in listed(world.kept) if kept.name == OWN]
    assert (whole.status_code, whole.content) == (200, kept.path.read_bytes())
    assert whole.headers["X-Wheel-SHA256"] == found[0]["sha256"] == kept.sha256
    assert world.content(name=OWN, offset=100).content == whole.content[100:]
    assert world.content(name=OWN, offset=len(whole.content)).content == b""
    refused = [world.content(name=OWN, offset=len(whole.content) + 1), world.content(name="no-1.0-py3-none-any.whl")]
    refused += [world.content(name="../any/" + OWN), world.content(), world.content(name=OWN, offset=-1)]
    assert [answer.status_code for answer in refused] == [400, 404, 404, 404, 400]


def test_a_damaged_wheel_does_not_arrive(world: World, tmp_path: Path) -> None:
    (kept,) = [kept for kept in listed(world.kept) if kept.name == OWN]
    good = kept.path.read_bytes()
    kept.path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    try:
        done = world.command("wheels", "export", world.task_id, str(tmp_path / "bad"))
        answered = world.content(name=OWN)
    finally:
        kept.path.write_bytes(good)
    assert (answered.status_code, answered.json()["error"]) == (409, "runner_protocol_error")
    assert done.returncode == 1 and "0 of 1" in done.stdout, done
    assert [path for path in os.listdir(tmp_path / "bad") if path.endswith(".whl")] == []


def test_a_build_is_skipped_from_the_command_line_and_costs_its_own_pack_alone(world: World) -> None:
    """The whole way: the command, the service, sshd, the run, uv's build, which would go on for half a minute."""
    begun = world.folder / "begun"
    code = f"import select; open({str(begun)!r}, 'w').close(); select.select([], [], [], 30)"
    world.index.sdist("slow-tool", "1.0", building=code)
    packs = [make_pack(world.git, "owner", name, requirements=text) for name, text in _SLOW_AND_QUICK]
    manifest = {"nodes": [{"name": pack.name, "repo_url": pack.url} for pack in packs]}
    task_id = world.service.install(world.first, manifest=manifest, options={"wait_seconds": 0, "verify": False})
    wait_until(begun.exists, 60, "the build has begun")
    done = world.command("tasks", "skip", task_id, "Slow_Tool")
    assert done.returncode == 0, done
    shown = world.service.ended(task_id, 25)
    nodes = {node["name"]: node for node in shown["nodes"]}
    assert (nodes["slow"]["state"], nodes["slow"]["error"]["code"]) == ("failed", "build_skipped")
    assert nodes["quick"]["state"] == "installed"
    assert [(build["package"], build["state"]) for build in shown["builds"]] == [("slow-tool", "skipped")]
