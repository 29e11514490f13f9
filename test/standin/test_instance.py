"""A stand-in is a machine: log in, find ComfyUI, start things; and it goes without a trace."""

from __future__ import annotations

import os
import shlex
import subprocess
import uuid
from pathlib import Path

import pytest

from app.standin.errors import StandInError
from app.standin.instance import StandIn
from app.standin.processes import processes_at_port, processes_below
from test.conftest import StandInFactory
from test.standin.ssh_client import run_there, ssh_arguments
from test.support.waiting import wait_until

pytestmark = pytest.mark.sshd

BACKGROUND = "nohup setsid sh -c 'cd /; exec sleep 600' >/dev/null 2>&1 </dev/null & echo started"


def test_it_works(standin: StandIn) -> None:
    """One logs in with its key and finds its home, its ComfyUI and the interpreter with torch."""
    assert run_there(standin, "echo $HOME").stdout == f"{standin.home}\n"
    found = run_there(standin, f"{shlex.quote(str(standin.python))} -c 'import torch; print(torch.version.cuda)'")
    assert found.stdout == "12.8\n"
    assert (standin.ui_home / "main.py").is_file()
    assert list(standin.custom_nodes.iterdir()) == []


def test_nothing_is_left_when_it_stops(standin_factory: StandInFactory) -> None:
    """A detached process of another session and an open connection end with the stand-in, and its folder goes."""
    standin = standin_factory()
    run_there(standin, BACKGROUND)
    with subprocess.Popen(ssh_arguments(standin, "sleep 600"), stderr=subprocess.DEVNULL) as session:
        wait_until(lambda: len(processes_below(standin.root)) >= 2, what="both sleeps run")
        standin.stop()
        assert session.wait(30) == 255
    assert not processes_below(standin.root)
    assert not processes_at_port(standin.port, listening=True)
    assert not processes_at_port(standin.port, listening=False)
    assert not standin.root.exists()


def test_stopping_twice_is_harmless(standin_factory: StandInFactory) -> None:
    """A second stop does nothing."""
    standin = standin_factory()
    standin.stop()
    standin.stop()


def test_a_killed_connection_leaves_what_it_had_started_in_the_background(standin_factory: StandInFactory) -> None:
    """Killing connections ends the client's session, not a detached process; one can log in again at once."""
    standin = standin_factory()
    run_there(standin, BACKGROUND)
    with subprocess.Popen(ssh_arguments(standin, "echo up; sleep 600"), stdout=subprocess.PIPE) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"up\n"
        standin.kill_connections()
        assert session.wait(30) == 255
    assert standin.connections() == 0
    assert run_there(standin, "pgrep -c -f '[s]leep 600' -U $(id -u) >/dev/null && echo alive").stdout == "alive\n"


def test_sshd_comes_back_on_the_same_port_with_the_same_key(standin_factory: StandInFactory) -> None:
    """A stopped sshd refuses; started again it is the same machine."""
    standin = standin_factory()
    before = (standin.port, standin.host_key_sha256)
    run_there(standin, BACKGROUND)
    standin.stop_sshd()
    assert run_there(standin, "true", check=False).returncode == 255
    assert processes_below(standin.root)
    standin.start_sshd()
    assert run_there(standin, "echo back").stdout == "back\n"
    assert (standin.port, standin.host_key_sha256) == before


def test_a_banner_and_a_chatty_bashrc_are_real(standin_factory: StandInFactory) -> None:
    """What `.bashrc` prints is on stdout before the command's own output; the banner is not."""
    standin = standin_factory(bashrc="echo Welcome to your GPU\n", banner="*** rented ***\n")
    assert run_there(standin, "echo own").stdout in ("Welcome to your GPU\nown\n", "own\n")  # dash reads no .bashrc
    assert "rented" not in run_there(standin, "true").stdout


def test_names_that_a_shell_could_misread_are_folders_like_any_other(standin_factory: StandInFactory) -> None:
    """A ui_home with spaces, quotes and `$(…)` exists under just that name."""
    name = 'Comfy UI\'s "$(touch pwned)" `x`'
    standin = standin_factory(name="a place", ui_home_name=name)
    assert run_there(standin, f"cat {shlex.quote(str(standin.ui_home / 'comfyui_version.py'))}").stdout
    assert run_there(standin, f"{shlex.quote(str(standin.python))} -c 'import torch'").returncode == 0


def test_the_callers_package_and_proxy_settings_are_there(standin_factory: StandInFactory) -> None:
    """pip's, uv's and proxy variables arrive unchanged, HOME beside them; loopback stays out of the proxy."""
    odd = 'http://user:p#a"s\\s w$(x)@proxy:1'
    standin = standin_factory(environ={"PIP_INDEX_URL": "http://i/", "UV_X": "a b", "http_proxy": odd, "SECRET": "no"})
    got = dict(line.partition("=")[::2] for line in run_there(standin, "env").stdout.splitlines())
    assert (got["PIP_INDEX_URL"], got["UV_X"], got["http_proxy"]) == ("http://i/", "a b", odd)
    assert got["HOME"] == str(standin.home)
    assert "127.0.0.1" in got["no_proxy"]
    assert "SECRET" not in got


def test_five_at_once_do_not_disturb_each_other(standin_factory: StandInFactory) -> None:
    """Each has a port and a home of its own, and one's end is not the others'."""
    five = [standin_factory() for _ in range(5)]
    assert len({standin.port for standin in five}) == 5
    five[0].stop()
    assert [run_there(s, "echo $HOME").stdout.strip() for s in five[1:]] == [str(s.home) for s in five[1:]]


def test_it_takes_no_folder_that_is_there(tmp_path: Path) -> None:
    """What it did not make it does not remove."""
    with pytest.raises(StandInError, match="there already"), StandIn(tmp_path):
        pass
    assert tmp_path.exists()


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A name that no folder can have ends the start, and all that was made until then is removed."""
    with pytest.raises(OSError, match="too long"), StandIn(tmp_path / "s", ui_home_name="x" * 300, with_pip=False):
        pass
    assert not (tmp_path / "s").exists()


def test_the_fingerprint_sees_any_change_of_the_family(standin_factory: StandInFactory) -> None:
    """It stays when ComfyUI starts, and changes when a byte or a file of the family does."""
    standin = standin_factory()
    before = standin.family_fingerprint()
    run_there(standin, f"{shlex.quote(str(standin.python))} -c 'import torch, torchvision, torchaudio'")
    assert standin.family_fingerprint() == before
    module = next(standin.venv.glob("lib/*/site-packages/torch/version.py"))
    module.write_text(module.read_text() + "# changed\n")
    assert standin.family_fingerprint() != before


def test_the_progress_files_of_its_runs_go_with_it(tmp_path: Path) -> None:
    """They lie in /tmp, as on any instance; nobody else's are touched."""
    own, other = (Path(f"/tmp/custom_nodes_progress_{uuid.uuid4()}.json") for _ in range(2))
    instance = StandIn(tmp_path / "standin", environ=os.environ, with_pip=False)
    try:
        with instance:
            task = own.stem.removeprefix("custom_nodes_progress_")
            (instance.home / ".local" / "state" / "nodeferry" / task).mkdir(parents=True)
            own.write_text("{}")
            other.write_text("{}")
        assert not own.exists()
        assert other.exists()
    finally:
        other.unlink(missing_ok=True)
        own.unlink(missing_ok=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a namespace of processes")
def test_one_with_processes_of_its_own_sees_no_others(standin_factory: StandInFactory) -> None:
    """What was left in the background outlives its line and its sshd, and ends with the machine."""
    other, own = standin_factory(), standin_factory(own_processes=True)
    assert str(os.getpid()) in run_there(other, "ls /proc").stdout.split()
    assert "pytest" not in run_there(own, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    run_there(own, BACKGROUND)
    own.stop_sshd()
    own.start_sshd()
    assert run_there(own, "pgrep -c -f '[s]leep 600'").stdout == "1\n"
    own.stop()
    assert not processes_below(own.root)
