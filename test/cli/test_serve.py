"""`serve` as a process: its line, its answers, its end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.cli.program import RUN_FILE
from app.cli.server.listener import bind
from app.cli.server.own_addresses import own_addresses
from app.cli.server.service_lock import running_service

pytestmark = pytest.mark.slow

SERVE = [sys.executable, str(RUN_FILE), "serve"]


def environment(folder: Path) -> dict[str, str]:
    """Of a user with an empty home."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("NODEFERRY_", "XDG_"))}
    return kept | {"HOME": str(folder)}


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service and the line that it printed."""
    command = [*SERVE, "--data-dir", str(folder / "service"), *arguments]
    with subprocess.Popen(
        command, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def health(url: str) -> dict[str, object]:
    """The answer of /health."""
    with urllib.request.urlopen(f"{url}/health", timeout=30) as answer:
        content: dict[str, object] = json.load(answer)
    return content


@pytest.mark.quiet
def test_it_prints_one_line_when_it_answers_and_ends_on_sigterm(tmp_path: Path) -> None:
    """Whoever reads the line is answered; the end takes less than five seconds and nothing else is on stdout."""
    with served(tmp_path, "--port", "0") as (process, line):
        assert line.startswith("Nodeferry on http://127.0.0.1:")
        url = line.split()[-1]
        assert health(url)["status"] == "ok"
        found = running_service(tmp_path / "service")
        assert found is not None and found.url == url and found.pid == process.pid
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - started < 5
    assert process.returncode == 0
    assert out == "" and "Traceback" not in err
    assert running_service(tmp_path / "service") is None


@pytest.mark.slow
def test_a_second_service_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """It names the first one's address."""
    with served(tmp_path, "--port", "0") as (_process, line):
        command = [*SERVE, "--port", "0", "--data-dir", str(tmp_path / "service")]
        second = subprocess.run(
            command, env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False
        )
    assert second.returncode == 1
    assert second.stdout == "" and f"at {line.split()[-1]}" in second.stderr


@pytest.mark.slow
def test_sigint_is_answered_with_one_sentence(tmp_path: Path) -> None:
    """However often it comes."""
    with served(tmp_path, "--port", "0") as (process, _line):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.count("Shutting down.") == 1 and "Traceback" not in err


@pytest.mark.slow
def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path) -> None:
    """Also when it is the default one."""
    with bind("127.0.0.1", 0, explicit=True, say=print) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        with served(tmp_path, "--port", port) as (process, line):
            assert line == ""
            _out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and f"Port {port} is in use." in err


@pytest.mark.slow
def test_a_database_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    """No traceback for what a disk does."""
    (tmp_path / "service").mkdir(mode=0o700)
    (tmp_path / "service" / "nodeferry.db").write_bytes(b"no database at all, " * 300)
    with served(tmp_path, "--port", "0") as (process, line):
        assert line == ""
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and err.startswith("Error: ") and "Traceback" not in err


@pytest.mark.slow
def test_install_uses_a_service_for_the_time_being_where_none_runs(tmp_path: Path) -> None:
    """It is started, asked and closed; what it refuses is a sentence."""
    command = [sys.executable, str(RUN_FILE), "install", "user@", "--data-dir", str(tmp_path / "service")]
    result = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert "field: ssh_connection" in result.stderr and "Traceback" not in result.stderr
    assert running_service(tmp_path / "service") is None


@pytest.mark.slow
def test_install_finds_the_service_that_runs_on_the_folder(tmp_path: Path) -> None:
    """Its data folder says where it listens."""
    with served(tmp_path, "--port", "0"):
        command = [sys.executable, str(RUN_FILE), "tasks", "list", "--data-dir", str(tmp_path / "service")]
        result = subprocess.run(
            command, env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False
        )
    assert result.stdout == "No installs yet.\n" and result.returncode == 0


@pytest.mark.slow
def test_on_every_address_it_says_which_ones_answer(tmp_path: Path) -> None:
    """This machine's, a link for the first login, and those of other machines; by the machine's name too."""
    with served(tmp_path, "--port", "0", "--host", "0.0.0.0") as (process, line):
        assert process.stdout is not None
        assert line.startswith("Nodeferry on http://127.0.0.1:")
        assert health(line.split()[-1])["status"] == "ok"
        link = process.stdout.readline()
        assert "/#token=" in link
        outer = own_addresses()
        if outer:
            said = process.stdout.readline()
            assert said.startswith(f"From other machines: http://{outer[0]}:") and f"http://{outer[0]}:" in link
            for url in said.removeprefix("From other machines: ").strip().split(", "):
                assert health(url)["status"] == "ok"
        port = int(line.rsplit(":", 1)[1])
        for name, status in ((socket.gethostname(), 200), ("evil.example", 403)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/", headers={"Host": f"{name}:{port}"})
            assert connection.getresponse().status == status
            connection.close()


@pytest.mark.slow
def test_its_log_has_what_it_does_and_not_what_its_libraries_do(tmp_path: Path) -> None:
    """At the first start too, which makes the database; polls and pages are no line."""
    with served(tmp_path, "--port", "0") as (process, line):
        for _ in range(3):
            health(line.split()[-1])
        process.send_signal(signal.SIGTERM)
        _out, err = process.communicate(timeout=60)
    assert [text for text in err.splitlines() if "logger=app." not in text] == []
    assert "alembic" not in err and "request" not in err.replace("slow_requests", "")
