"""Packages with a real uv and a real registry: what the packs want is there, and torch is as it was."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.protocol.events import PackagesPlanned, PackagesProgress
from app.protocol.states import StepStatus, TaskState
from app.standin.environment import make_environment
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from app.standin.torch_family import fingerprint_of
from test.runner.conftest import RigFactory
from test.runner.rig import Rig, node

pytestmark = pytest.mark.registry


NEEDS_TORCH = "lion-pytorch"
"""A small package whose only requirement is torch."""


def installed(python: Path, names: Sequence[str]) -> list[str]:
    """Those of the packages that this interpreter has."""
    code = (
        "import sys; from importlib import metadata\n"
        "for name in sys.argv[1:]:\n    if list(metadata.distributions(name=name)): print(name)"
    )
    argv = [str(python), "-c", code, *names]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def test_one_bad_pack_costs_only_itself(uv_rig: Rig, git_server: GitServer) -> None:
    """A missing package, an impossible version, a line that is none, one that disagrees with ComfyUI: each is failed
    with its reason, the rest is installed, and torch was not touched."""
    rig = uv_rig
    (rig.ui_home / "requirements.txt").write_text("packaging>=23\n")
    wanted = {
        "fine": "humanize>=4.9\ntoml\n",
        "odd": "\ufeff# comment\r\ntabulate \\\r\n  ; python_version > '3'\r\ntorch>=2\r\n--pre\r\n",
        "transitive": f"{NEEDS_TORCH}\n",
        "other-torch": "torch>=99\n",
        "missing": "nodeferry-no-such-package==1.0\n",
        "impossible": "humanize==99.0\n",
        "unreadable": "<<<<<<< HEAD\n",
        "against-comfyui": "packaging<22\n",
        "left-out": "xformers\ncolorama\n",
    }
    packs = [make_pack(git_server, "o", name, requirements=text) for name, text in wanted.items()]
    assert rig.environment is not None
    before = fingerprint_of(rig.environment.packages)
    run = rig.install([node(pack) for pack in packs])
    states = {name: run.state(name) for name in wanted}
    assert states == {
        "fine": "installed",
        "odd": "installed",
        "transitive": "installed",
        "other-torch": "failed torch_version_wanted",
        "missing": "failed requirement_not_found",
        "impossible": "failed requirement_not_found",
        "unreadable": "failed bad_requirement",
        "against-comfyui": "failed requirement_conflict",
        "left-out": "installed",
    }, run.said()
    names = ["humanize", "toml", "tabulate", NEEDS_TORCH, "colorama"]
    assert installed(rig.ui_home / "venv/bin/python", names) == names
    assert fingerprint_of(rig.environment.packages) == before
    assert "protected_package_left_out" in [warning.code for warning in run.snapshot().warnings]
    shown = run.snapshot().nodes
    assert [str(shown[name].requirements) for name in ("fine", "missing")] == ["success", "failed"]
    for name in ("missing", "impossible", "against-comfyui"):
        error = shown[name].error
        assert error is not None
        assert "cause:" not in error.message
        assert len(error.message) < 500
        assert (run.folder / "nodes" / f"{name}.log").exists()


def test_all_in_one_resolution_with_the_plan_before(uv_rig: Rig, git_server: GitServer) -> None:
    """Where all agrees there is a plan of everything before the first package, and the counts reach their total."""
    packs = [
        make_pack(git_server, "o", name, requirements=text)
        for name, text in {"a": "humanize\n", "b": "toml\nhumanize>=4\n", "c": ""}.items()
    ]
    run = uv_rig.install([node(pack) for pack in packs])
    assert [run.state(name) for name in "abc"] == ["installed"] * 3
    planned = [change for plan in run.told(PackagesPlanned) for change in plan.changes]
    assert {change.package for change in planned if change.new} == {"humanize", "toml"}
    packages = run.told(PackagesProgress)
    assert packages
    assert packages[-1].done == packages[-1].total
    kinds = [type(event.body) for event in run.events()]
    assert kinds.index(PackagesPlanned) < kinds.index(PackagesProgress)
    assert run.snapshot().state is TaskState.COMPLETED


def test_a_torch_that_only_the_system_has_is_not_installed_again(
    rig_factory: RigFactory, uv_program: Path, git_server: GitServer, tmp_path: Path
) -> None:
    """In an environment that sees the system's packages uv does not see the system's torch."""
    rig = rig_factory(venv=False)
    system = tmp_path / "system"
    environment = make_environment(rig.ui_home / "venv", with_pip=False, system_packages=system)
    rig.environ["PATH"] = f"{uv_program.parent}:/usr/bin:/bin"
    before = fingerprint_of(system)
    run = rig.install([node(make_pack(git_server, "o", "pack", requirements=f"{NEEDS_TORCH}\ntorch\ntoml\n"))])
    assert run.state("pack") == "installed", run.said()
    assert fingerprint_of(system) == before
    assert not list(environment.folder.glob("lib/python3.*/site-packages/torch"))
    assert installed(environment.python, ["torch", "toml", NEEDS_TORCH]) == ["torch", "toml", NEEDS_TORCH]


def test_a_runner_without_uv_gets_one_of_its_own(rig: Rig, git_server: GitServer) -> None:
    """Beside the runner, not in ComfyUI's environment; the next run finds it there."""
    rig.environ["PATH"] = "/usr/bin:/bin"
    run = rig.install([node(make_pack(git_server, "owner", "needy", requirements="toml\n"))])
    if shutil.which("uv", path="/usr/bin:/bin"):
        pytest.skip("this machine has a uv of its own")
    assert (rig.state / "tools" / "uv" / "bin" / "uv").is_file()
    assert run.state("needy") == "installed"
    assert installed(rig.ui_home / "venv/bin/python", ["toml", "uv"]) == ["toml"]


def test_an_interpreter_of_the_systems_is_refused(uv_rig: Rig, git_server: GitServer, tmp_path: Path) -> None:
    """PEP 668: the pack that needs packages is failed with a hint, the one that needs none is installed."""
    python = Path("/usr/bin/python3")
    marked = list(Path("/usr/lib").glob("python3*/EXTERNALLY-MANAGED"))
    if not python.exists() or not marked:
        pytest.skip("this system's Python is not marked as externally managed")
    needy = make_pack(git_server, "o", "needy", requirements="toml\n")
    plain = make_pack(git_server, "o", "plain")
    run = uv_rig.install([node(needy), node(plain)], venv_path=str(python))
    assert run.state("needy") == "failed externally_managed"
    assert run.state("plain") == "installed"


def test_a_uv_that_does_not_serve_is_passed_over(uv_rig: Rig, git_server: GitServer) -> None:
    """One that does not run, one that is too old, and a folder of that name, before the good one on PATH."""
    folder = uv_rig.home / ".local" / "bin"
    folder.mkdir(parents=True)
    (folder / "uv").write_text("#!/bin/sh\necho uv 0.1.2\n")
    (folder / "uv").chmod(0o755)
    uv_rig.environ["PATH"] = f"{folder}:{uv_rig.environ['PATH']}"
    good = uv_rig.environ["PATH"].split(":")[1]
    tools = uv_rig.state / "tools" / "uv" / "bin"
    tools.mkdir(parents=True)
    (tools / "uv").symlink_to(Path(good) / "uv")
    run = uv_rig.install([node(make_pack(git_server, "o", "pack", requirements="toml\n"))])
    assert run.state("pack") == "installed"
    assert run.snapshot().nodes["pack"].requirements is StepStatus.SUCCESS


def test_two_packs_of_odd_names_do_not_share_a_requirements_file(uv_rig: Rig, git_server: GitServer) -> None:
    """Names that differ only in letters that a plain file name does not have."""
    one = make_pack(git_server, "o", "one", requirements="toml\n")
    two = make_pack(git_server, "o", "two", requirements="colorama\n")
    run = uv_rig.install([node(one, name="Ünï"), node(two, name="Önï")])
    assert (run.state("Ünï"), run.state("Önï")) == ("installed", "installed")
    assert installed(uv_rig.ui_home / "venv/bin/python", ["toml", "colorama"]) == ["toml", "colorama"]


@pytest.mark.quiet
def test_a_cancel_during_packages_ends_uv(uv_rig: Rig, git_server: GitServer) -> None:
    """While uv waits for an index that never answers: all is gone in less than 5 s."""
    pack = make_pack(git_server, "o", "pack", requirements="toml\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uv_rig.environ["UV_CACHE_DIR"] = str(uv_rig.home / "cache")
        uv_rig.environ["UV_INDEX_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        run = uv_rig.start([node(pack)])
        silent.settimeout(20)
        silent.accept()[0].close()
        begun = time.monotonic()
        assert run.cancel() == "ended"
    assert time.monotonic() - begun < 5
    assert run.processes() == set()
    assert run.state("pack") == "cancelled cancelled"
