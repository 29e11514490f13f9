"""The demo: what it calls expected, and that nothing of it is left, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.cli.commands.demo import EXPECTED_FAILURES, kept_lines, surprises_in
from app.cli.program import RUN_FILE
from test.cli.stories import NOT_FOUND, begun

GONE, IMPOSSIBLE = EXPECTED_FAILURES


def an_end(*, gone: str = "failed", good: str = "installed") -> dict[str, Any]:
    """A demo's last progress."""
    story = begun([GONE, IMPOSSIBLE, "Good"])
    progress = story.progress | {"state": "completed"}
    states = {GONE: gone, IMPOSSIBLE: "failed", "Good": good}
    errors = {name: NOT_FOUND.to_json() if state == "failed" else None for name, state in states.items()}
    nodes = [node | {"state": states[node["name"]], "error": errors[node["name"]]} for node in progress["nodes"]]
    return progress | {"nodes": nodes}


def test_what_must_fail_and_what_must_not_is_checked() -> None:
    """The demo's exit status is a test of the main job."""
    assert surprises_in(an_end()) == []
    assert surprises_in(an_end(gone="installed")) == [f"{GONE} is installed"]
    assert surprises_in(an_end(good="failed")) == ["Good is failed (repository_not_found)"]
    assert surprises_in({"state": "failed", "nodes": []})[0] == "the install is failed"


def test_the_lines_to_copy_name_both_routes() -> None:
    """Start and poll."""
    text = "\n".join(kept_lines("http://127.0.0.1:1", "/tmp/a b/install.json", "ssh -p 1 u@h", "/tmp/a b/ComfyUI"))
    assert "http://127.0.0.1:1/ssh/install-custom-nodes -d @'/tmp/a b/install.json'" in text
    assert '/progress -d \'{"task_id": "TASK_ID"}\'' in text
    assert "install ssh -p 1 u@h --ui-home '/tmp/a b/ComfyUI' --server http://127.0.0.1:1 --url " in text


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that works in `folder`; afterwards nothing may be left of it."""
    command = [sys.executable, str(RUN_FILE), "demo", "--plain", *arguments]
    environment = os.environ | {"TMPDIR": str(folder), "NODEFERRY_DATABASE_URL": "sqlite:////nowhere/at/all.db"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
    assert list(folder.iterdir()) == []
    assert not [line for line in _command_lines() if str(folder) in line]


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:  # it has just ended
            continue


def read_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    """The lines up to the one with `wanted`."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or wanted not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], f"{wanted!r} not in {lines}"
    return lines


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sshd's sockets and scripts' first lines have limits."""
    with tempfile.TemporaryDirectory(prefix="nf-demo-test-") as path:
        yield Path(path)


@pytest.mark.sshd
@pytest.mark.registry
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.long
def test_the_main_job_is_done_shown_kept_up_and_cleared_away(folder: Path) -> None:
    """Exactly the two packs that cannot be installed fail; what is printed for curl works; Ctrl-C ends it with 0."""
    with demo(folder, "--keep") as process:
        lines = read_until(process, "It stays up until Ctrl-C at http")
        url = lines[-1].split()[-1]
        assert any(line.startswith("As expected:") for line in lines), lines
        assert any(line.startswith(f"{GONE}: repository_not_found") for line in lines)
        copied = read_until(process, "ssh -p")
        assert any("install.json" in line for line in copied)
        with urllib.request.urlopen(f"{url}/tasks", timeout=30) as answer:
            assert json.load(answer)["tasks"][0]["outcome"] == "partial"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.mark.sshd
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_nothing_is_left_when_it_is_ended_at_work(folder: Path, number: int, status: int) -> None:
    """The runner on the stand-in, its children, sshd, the git server, the service, the folder: all gone."""
    with demo(folder) as process:
        read_until(process, "downloading")
        process.send_signal(number)
        assert process.wait(60) == status


@pytest.mark.sshd
@pytest.mark.slow
def test_nothing_is_left_when_it_is_ended_while_it_sets_up(folder: Path) -> None:
    """Parts that are there already are taken down."""
    with demo(folder) as process:
        read_until(process, "node packs and their git server")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
