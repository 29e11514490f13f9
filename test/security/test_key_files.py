"""Files that somebody names as a key, a certificate, known hosts, settings or a list, and that are none: nothing waits
for them, nothing is read without end, and the error names the file and what it is."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.domain.address import parse_address
from app.domain.errors import RemoteError
from app.remote import own_keys, ssh_config
from app.remote.config_file import Local
from app.remote.deadline import Deadline
from app.remote.keys import collect_keys
from app.remote.trust import HostKeyTrust
from app.settings import InvalidSetting, settings_from
from app.small_files import CONFIG_BYTES, KEY_BYTES, KNOWN_HOSTS_BYTES
from test.api.client import content, service_in
from test.conftest import StandInFactory
from test.support.memory_pins import MemoryPins

KINDS = {"pipe": "a pipe", "device": "a device", "socket": "a socket", "folder": "a folder", "huge": "larger than"}
"""What stands at a path, and the words for it."""


@pytest.fixture(params=KINDS)
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A path with something at it that nobody should read, and what the error is to say of it."""
    path = tmp_path / "named"
    with socket.socket(socket.AF_UNIX) as listening:
        if request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "device":
            path.symlink_to("/dev/zero")
        elif request.param == "socket":
            listening.bind(str(path))
        elif request.param == "folder":
            path.mkdir()
        else:
            with path.open("wb") as file:
                file.truncate(max(KEY_BYTES, CONFIG_BYTES, KNOWN_HOSTS_BYTES) + 1)
        yield path, KINDS[request.param]


def _problems(folder: Path, command: str, config: str = "", settings: tuple[str, ...] = ()) -> str:
    """What is said of the keys that a login would try."""
    ssh_dir = folder / "ssh"
    ssh_dir.mkdir()
    (ssh_dir / "config").write_text(config)
    endpoint = ssh_config.resolve(parse_address(command), ssh_dir, Local(folder, "me"))
    ring = collect_keys(endpoint, settings, ssh_dir, Deadline(5.0, "the test"))
    assert not ring.candidates
    return "; ".join(ring.problems)


KEYS: dict[str, Callable[[Path, Path], str]] = {
    "address": lambda folder, path: _problems(folder, f"ssh -i {path} root@h"),
    "ssh_config": lambda folder, path: _problems(folder, "ssh root@h", f"IdentityFile {path}"),
    "certificate": lambda folder, path: _problems(folder, "ssh root@h", f"CertificateFile {path}"),
    "settings": lambda folder, path: _problems(folder, "ssh root@h", settings=(str(path),)),
}


@pytest.mark.parametrize("named_by", KEYS)
def test_a_key_that_is_no_small_file_is_named_and_not_read(
    named_by: str, bad: tuple[Path, str], tmp_path: Path
) -> None:
    path, words = bad
    said = KEYS[named_by](tmp_path, path)
    assert f"{path}: {words}" in said


@pytest.mark.parametrize("how", ["the file itself", "Include"])
def test_ssh_settings_that_are_no_small_file_are_named(how: str, bad: tuple[Path, str], tmp_path: Path) -> None:
    path, words = bad
    ssh_dir = tmp_path / "ssh"
    ssh_dir.mkdir()
    if how == "Include":
        (ssh_dir / "config").write_text(f"Include {path}\n")
    else:
        (ssh_dir / "config").symlink_to(path)
    with pytest.raises(RemoteError, match=re.escape(words)) as refused:
        ssh_config.resolve(parse_address("root@h"), ssh_dir, Local(tmp_path, "me"))
    assert refused.value.code == "ssh_config_invalid"


def test_known_hosts_that_are_no_small_file_are_named(bad: tuple[Path, str], tmp_path: Path) -> None:
    """A key that they mark as revoked must not be accepted because they cannot be read."""
    path, words = bad
    (tmp_path / "config").write_text(f"UserKnownHostsFile /dev/null {path}\n")
    endpoint = ssh_config.resolve(parse_address("root@h"), tmp_path, Local(tmp_path, "me"))
    if path.is_dir():  # ssh goes on too
        assert HostKeyTrust(MemoryPins(), (), lambda: 0.0).preferred_types(endpoint) == ()
        return
    with pytest.raises(RemoteError, match=re.escape(f"{path}: {words}")) as refused:
        HostKeyTrust(MemoryPins(), (), lambda: 0.0).preferred_types(endpoint)
    assert refused.value.code == "known_hosts_unusable"


def test_the_empty_device_is_an_empty_file(tmp_path: Path) -> None:
    """`UserKnownHostsFile /dev/null` is in many people's settings, or a link to it in their ~/.ssh."""
    (tmp_path / "link").symlink_to(os.devnull)
    names = (("UserKnownHostsFile", tmp_path / "link"), ("GlobalKnownHostsFile", os.devnull), ("Include", os.devnull))
    (tmp_path / "config").write_text("".join(f"{name} {path}\n" for name, path in names))
    endpoint = ssh_config.resolve(parse_address("root@h"), tmp_path, Local(tmp_path, "me"))
    assert HostKeyTrust(MemoryPins(), (), lambda: 0.0).preferred_types(endpoint) == ()


def test_public_keys_that_are_no_small_files_are_not_listed(bad: tuple[Path, str], tmp_path: Path) -> None:
    path, _ = bad
    (tmp_path / "id_ed25519.pub").symlink_to(path)
    (tmp_path / "id_rsa").symlink_to(path)
    keys = own_keys.OwnKeys(tmp_path, {})
    made = keys.make("id_mine")
    assert [key.sha256 for key in keys.list()] == [made.sha256]


def test_settings_that_are_no_small_file_are_named(bad: tuple[Path, str]) -> None:
    path, words = bad
    with pytest.raises(InvalidSetting, match=re.escape(f"{path}: {words}")):
        settings_from({}, file=path)


def test_an_install_s_list_is_read_from_a_pipe_but_not_without_end(tmp_path: Path) -> None:
    """`--csv <(…)` is a pipe; /dev/zero has no end."""
    run = [sys.executable, "run.py", "install", "root@h", "--csv"]
    closed = {**os.environ, "HOME": str(tmp_path), "NODEFERRY_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run([*run, "/dev/zero"], env=closed, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "/dev/zero: larger than 4.2 MB" in done.stderr
    done = subprocess.run(
        [*run, "-", "--server", "http://127.0.0.1:9"],
        env=closed,
        input="Name,RepoUrl\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "larger" not in done.stderr
    assert "127.0.0.1:9" in done.stderr  # the list was read; only the service is not there


@pytest.mark.sshd
def test_a_test_of_an_instance_with_a_pipe_as_its_key_is_answered(
    standin_factory: StandInFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    standin = standin_factory()
    address = f"ssh -p {standin.port} -i {pipe} {standin.ssh_command.rpartition(' ')[2]}"
    with service_in(tmp_path / "service") as api:
        answer = content(api.post("/ssh/test", {"ssh_connection": address}))
    assert answer["error"] == "no_ssh_key"
    assert "~/pipe: a pipe, not a file" in answer["message"]  # without the name of the user whose home it is
