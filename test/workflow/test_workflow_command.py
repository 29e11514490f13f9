"""`run.py workflow`: the same task list in a terminal."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from app.standin.instance import StandIn
from test.support.service import ROOT, Json, ServiceProcess

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


def _run(service: ServiceProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "run.py", "workflow", *arguments, "--server", service.url]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)


def test_it_works(service: ServiceProcess, standin: StandIn, manifest: Json) -> None:
    """Lines for each step and pack, the missing one's reason, and 3 for a partial end."""
    urls = [word for url in manifest["urls"] for word in ("--url", url)]
    ended = _run(service, standin.ssh_command, "--ui-home", str(standin.ui_home), *urls)
    assert ended.returncode == 3, ended.stderr
    assert "Test SSH connection: success" in ended.stdout
    assert "  light: success" in ended.stdout
    assert "  gone: failed: " in ended.stdout
    assert ended.stdout.rstrip().endswith("Done.")


def test_with_json_the_last_state_is_on_stdout(service: ServiceProcess, standin: StandIn) -> None:
    """And nothing else; what cannot be reached is 1."""
    standin.stop_sshd()
    ended = _run(service, standin.ssh_command, "--wait-seconds", "0", "--json")
    assert ended.returncode == 1
    document = json.loads(ended.stdout)
    assert document["data"]["error"]["code"] == document["error"]["code"] == "connect_failed"


def test_an_option_that_is_not_for_workflows_is_refused(service: ServiceProcess) -> None:
    """With what to do instead."""
    ended = _run(service, "root@127.0.0.1", "--plan-only")
    assert (ended.returncode, "--review-plan" in ended.stderr) == (1, True)
