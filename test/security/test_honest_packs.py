"""What honest packs, programs and machines do is not told as if it were an attack, and does not slow a run down."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.protocol.events import Warned
from app.runner.resolve.fetched_tools import UV
from app.standin.environment import make_environment
from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import add_commit, make_pack
from test.plan.box import Box
from test.runner.conftest import old_python, rig, rig_factory  # noqa: F401 - fixtures
from test.runner.rig import Rig, Run, node
from test.support.package_index import PackageIndex

_LATE = """
import os, select, socket, subprocess, sys
home = os.path.expanduser("~")
def until(there):
    for _ in range(400):
        if there():
            return
        select.select([], [], [], 0.05)
    raise SystemExit("nothing came")
"""
_UNTIL_FETCHED = "until(lambda: glob.glob(home + '/.local/state/nodeferry/tools/uv/bin/pip'))"
_HELPERS = {
    "credentials": (
        "answer = 'protocol=https\\nhost=h.example\\nusername=u\\npassword=p\\n\\n'\n"
        "subprocess.run(['git', '-c', 'credential.helper=cache', 'credential', 'approve'], input=answer, text=True)\n"
        "until(lambda: os.path.exists(home + '/.cache/git/credential/socket'))\n"
    ),
    "late": (
        "code = 'import select; select.select([], [], [], 1.2)'\n"
        "subprocess.Popen([sys.executable, '-c', code], start_new_session=True, stdout=-3, stderr=-3)\n"
    ),
    "socket": (
        "os.makedirs(home + '/.ssh', exist_ok=True); os.chdir(home + '/.ssh')\n"
        "kept = socket.socket(socket.AF_UNIX); kept.bind('master-0123abcd')\n"
    ),
}


def _codes(run: Run) -> set[str]:
    return {warning.code for warning in run.told(Warned)}


@pytest.mark.parametrize("helper", _HELPERS)
def test_programs_that_help_are_not_told(
    rig: Rig,  # noqa: F811
    git_server: GitServer,
    helper: str,
) -> None:
    """git's daemon for credentials, a process that ends a moment late, the socket of an ssh connection."""
    pack = make_pack(git_server, "o", "pack", install_py=_LATE + _HELPERS[helper])
    run = rig.install([node(pack)])
    assert run.state("pack") == "installed", run.said()
    assert not _codes(run)
    assert not run.processes()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    with PackageIndex(tmp_path / "index") as index:
        yield index


@pytest.mark.skipif(shutil.which("uv", path="/usr/bin:/bin") is not None, reason="this machine has a uv of its own")
def test_what_the_run_fetches_while_a_script_runs_is_not_the_scripts_doing(
    tmp_path: Path, pyz: Path, uv_program: Path, git_server: GitServer, index: PackageIndex
) -> None:
    """uv, for another pack; the one that has a script needs no packages, so it did not wait."""
    box = Box(tmp_path / "box", pyz, sys.executable, venv=False)
    box.environment = make_environment(box.ui_home / "venv", with_pip=True)
    box.use(git_server, index, uv_program)
    box.environ |= {"PATH": "/usr/bin:/bin", "PIP_INDEX_URL": index.url, "PIP_RETRIES": "0"}
    index.wheel("wanted", "1.0")
    index.wheel("uv", UV.version)
    git_server.set_rule("owner/other", RepoRule(latency_seconds=2.0))
    script = f"{_LATE}\nimport glob\n{_UNTIL_FETCHED}\n"
    try:
        run = box.run_of(box.pack("scripted", install_py=script), box.pack("other", "wanted"))
        assert run.state("scripted") == "installed", run.said()
        assert "uv_unavailable" in _codes(run)
        assert "wrote_outside" not in _codes(run)
    finally:
        box.end()


def test_a_configuration_that_a_clone_wrote_costs_no_program(
    rig: Rig,  # noqa: F811
    git_server: GitServer,
) -> None:
    """It has none of the keys that could name one, which is seen without git."""
    pack = make_pack(git_server, "o", "pack", history=2)
    run = rig.install([node(pack)])
    newer = add_commit(git_server, pack, {"more.py": ""})
    again = rig.install([node(pack)], options={"existing": "update"})
    assert again.snapshot().nodes["pack"].commit == newer.commit, again.said()
    for each in (run, again):
        lines = map(json.loads, (each.folder / "audit.log").read_text().splitlines())
        commands = [line["argv"] for line in lines if "argv" in line]
        assert [argv for argv in commands if "clone" in argv or "fetch" in argv]
        assert not [argv for argv in commands if "--no-includes" in argv]
