"""The script that makes an image's installation, run as it is in one: by an ordinary user, in an empty folder.

Then what containers do to programs: a read-only root, no home, a user without an account, process number 1."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.standin.instance import StandIn
from app.standin.sshd_config import passed_environment
from test.house.sources import ROOT

pytestmark = [pytest.mark.long, pytest.mark.registry, pytest.mark.timeout(600)]

NOBODY, NUMBER = "nobody", "54321"
"""A user of the system who owns nothing, and one whom the system does not know."""
TOKEN = "a-token-of-24-characters-x"
DOCKER_STOP_SECONDS = 10.0
SENT = ("app", "deploy", "requirements.txt", "requirements-postgresql.txt", "requirements-notify.txt")
_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
"""Whoever is not root cannot reach one in root's home."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What the script has made."""

    folder: Path
    target: Path

    @property
    def program(self) -> str:
        return str(self.target / "bin" / "nodeferry")


def as_user(user: str, *argv: str, **variables: str) -> list[str]:
    """The command line that runs a program as somebody else, with nothing of this environment."""
    words = ["setpriv", f"--reuid={user}", f"--regid={'nogroup' if user == NOBODY else user}", "--clear-groups"]
    words += ["--no-new-privs", "--inh-caps=-all", "--", "env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin"]
    return [*words, *(f"{name}={value}" for name, value in variables.items()), *argv]


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """As the Dockerfile has it, but for the account."""
    if os.geteuid() != 0:
        pytest.skip("only root can run something as others")
    python = next((each for each in _PYTHONS if Path(each).exists()), None)
    if python is None:
        pytest.skip("there is no Python that others may run")
    folder = Path(tempfile.mkdtemp(prefix="nf-"))
    try:
        folder.chmod(0o755)
        source = folder / "source"
        source.mkdir()
        for name in SENT:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, source / name)
        empty = folder / "empty"
        empty.mkdir()
        shutil.chown(empty, NOBODY)
        pip = {name: text for name, text in passed_environment(os.environ).items() if name != "PATH"}
        script = ("sh", str(source / "deploy" / "install.sh"), str(empty / "nodeferry"), "--with", "postgresql")
        argv = as_user(NOBODY, *script, PYTHON=python, **pip)
        done = subprocess.run(argv, cwd=empty, capture_output=True, text=True, timeout=500, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("nodeferry ")
        yield Installed(folder, empty / "nodeferry")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Container:
    """A service that runs as in a container."""

    process: subprocess.Popen[str]
    pid: int
    url: str
    installed: Installed

    def ask(self, path: str, body: object = None) -> dict[str, Any]:
        """One answer, whatever its status."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as exc:
            found = json.load(exc)
        return found

    def health(self, *words: str) -> int:
        """What the image's check says."""
        port = self.url.rpartition(":")[2]
        argv = as_user(NUMBER, f"{self.installed.program}-health", *words, NODEFERRY_PORT=port)
        return subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode


_AS_CONTAINER = """\
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro /
shift
exec "$@"
"""
"""Everything is read-only but the volume, $1."""


@contextmanager
def container(installed: Installed, **variables: str) -> Iterator[Container]:
    """`serve` as process number 1, of a user without an account and with a home that nobody can write."""
    volume = Path(tempfile.mkdtemp(prefix="volume-", dir=installed.folder))
    shutil.chown(volume, int(NUMBER), int(NUMBER))
    said = {"NODEFERRY_DATA_DIR": str(volume), "NODEFERRY_PORT": "0", "NODEFERRY_TOKEN": TOKEN, **variables}
    argv = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    argv += ["sh", "-c", _AS_CONTAINER, "sh", str(volume), *as_user(NUMBER, installed.program, "serve", **said)]
    with (
        (installed.folder / "container.log").open("wb") as log,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        first = None
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            first = _child_of(process.pid)
            assert line.startswith("Nodeferry on "), (installed.folder / "container.log").read_text("utf-8")
            assert first is not None
            yield Container(process, first, line.split()[-1], installed)
        finally:
            # Whoever changes its user is not ended with its parent any more; its namespace goes with process number 1.
            if first is not None:
                with suppress(ProcessLookupError):
                    os.kill(first, signal.SIGKILL)
            process.kill()


def _child_of(pid: int) -> int | None:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return int(found[0]) if found else None


def test_it_answers_in_a_container_and_ends_before_docker_loses_patience(installed: Installed) -> None:
    """SIGTERM to process number 1, which has no default for it."""
    with container(installed, HOME="/nonexistent") as found:
        assert found.ask("/health")["status"] == "ok"
        assert (found.health(), found.health("ready")) == (0, 0)
        begun = time.monotonic()
        os.kill(found.pid, signal.SIGTERM)
        assert found.process.wait(DOCKER_STOP_SECONDS) == 0
        assert time.monotonic() - begun < DOCKER_STOP_SECONDS
        assert found.health() == 1


@pytest.mark.sshd
def test_a_user_without_an_account_logs_in_with_mounted_keys(installed: Installed, tmp_path: Path) -> None:
    """`ssh` itself refuses such a user ("No user exists for uid"). Keys and config are of HOME, which is only read."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir=installed.folder))
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    with StandIn(tmp_path / "instance", with_pip=False) as instance:
        shutil.copy(instance.client_key, folder / "id_ed25519")
        known = f"Host box\n  HostName {instance.host}\n  Port {instance.port}\n  User {instance.user}\n"
        (folder / "config").write_text(known, "utf-8")
        for path in (home, folder, *folder.iterdir()):
            shutil.chown(path, int(NUMBER), int(NUMBER))
        with container(installed, HOME=str(home)) as found:
            answer = found.ask("/ssh/test", {"ssh_connection": "ssh box", "ui_home": str(instance.ui_home)})
            assert answer["success"] is True, answer


def test_a_process_without_a_home_says_so(installed: Installed) -> None:
    """In words that name the variable; a traceback helps nobody."""
    argv = as_user(NUMBER, installed.program, "config", "show")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "HOME is not set, and user 54321 has no account" in done.stderr and "Traceback" not in done.stderr


def test_a_volume_that_belongs_to_somebody_else_is_named(installed: Installed) -> None:
    """The usual fault with volumes."""
    volume = Path(tempfile.mkdtemp(prefix="volume-", dir=installed.folder))
    argv = as_user(NUMBER, installed.program, "serve", HOME="/nonexistent", NODEFERRY_DATA_DIR=str(volume))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"The data folder {volume} cannot be used: Permission denied" in done.stderr


_GUARDED = """\
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if libc.prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""What MemoryDenyWriteExecute=yes does, on kernels that can without systemd."""


def test_no_library_needs_memory_that_is_written_and_run(installed: Installed) -> None:
    """The units refuse it: cryptography and the driver of PostgreSQL load all the same."""
    python = str(installed.target / "bin" / "python")
    imports = "import cffi, cryptography.hazmat.bindings._rust, bcrypt, nacl.bindings, paramiko, psycopg, app.factory"
    argv = as_user(NOBODY, python, "-c", _GUARDED, python, "-P", "-c", f"{imports}; print('ok')", HOME="/nonexistent")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel cannot refuse it")
    assert done.stdout == "ok\n", done.stderr


def test_it_brings_what_it_needs_and_no_more(installed: Installed) -> None:
    """The worker's packages, compiled modules, and neither pip nor tests."""
    python = str(installed.target / "bin" / "python")
    found = subprocess.run([python, "-c", "import procrastinate, psycopg"], check=False, timeout=60)
    assert found.returncode == 0
    packages = next(installed.target.glob("lib/python3*/site-packages"))
    assert (packages / "app" / "__pycache__").is_dir()
    assert not (packages / "pip").exists() and not (packages / "test").exists()


def test_it_is_never_installed_over_another(installed: Installed) -> None:
    """An upgrade is made beside the version that runs."""
    script = str(installed.folder / "source" / "deploy" / "install.sh")
    argv = as_user(NOBODY, "sh", script, str(installed.target))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "is not empty" in done.stderr) == (1, True)


def test_what_is_not_understood_is_said(installed: Installed) -> None:
    script = str(installed.folder / "source" / "deploy" / "install.sh")
    for words in ((), ("/nowhere", "--with", "everything"), ("/nowhere", "--without")):
        done = subprocess.run(["sh", script, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and done.stderr, words


def test_health_waits_for_nobody(installed: Installed) -> None:
    """Where nobody listens it says so at once."""
    argv = as_user(NOBODY, f"{installed.program}-health", NODEFERRY_PORT="1")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "refused" in done.stderr) == (1, True)
