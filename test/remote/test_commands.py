"""Commands, uploads and streams over a real sshd, with login shells that print."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.errors import (
    CommandTimedOut,
    ConnectFailed,
    ConnectionLost,
    ExecNotSupported,
    TooMuchOutput,
    TransferFailed,
)
from app.remote.connector import SshConnector
from app.remote.host import RemoteHost
from test.remote.conftest import MakeSshd, Sshd
from test.support.waiting import wait_until

pytestmark = pytest.mark.sshd
MEGABYTE = 1_000_000


@pytest.fixture
def host(sshd: Sshd, connector: SshConnector) -> Iterator[RemoteHost]:
    with connector.connect(sshd.address) as host:
        yield host


def test_status_and_both_outputs_come_back(host: RemoteHost) -> None:
    result = host.run_script(
        "cat; echo to stderr >&2; printf '[%s]' \"$@\"; exit 7", args=["a b", "'$x`"], stdin=b"in", timeout=10
    )
    assert (result.exit_status, result.stdout, result.stderr) == (7, b"in[a b]['$x`]", b"to stderr\n")


def test_four_megabytes_on_both_outputs_do_not_deadlock(host: RemoteHost) -> None:
    """Neither output waits for the other to be read."""
    script = "head -c 4000000 /dev/zero >&2; head -c 4000000 /dev/zero"
    result = host.run_script(script, timeout=60)
    assert (len(result.stdout), len(result.stderr)) == (4 * MEGABYTE, 4 * MEGABYTE)


def test_input_and_output_flow_at_the_same_time(host: RemoteHost) -> None:
    content = os.urandom(4 * MEGABYTE)
    assert host.run(["cat"], stdin=content, timeout=60).stdout == content


def test_a_command_that_ignores_its_input_ends(host: RemoteHost) -> None:
    assert host.run(["true"], stdin=b"x" * 8 * MEGABYTE, timeout=30).exit_status == 0


@pytest.mark.quiet
def test_a_command_that_takes_too_long(host: RemoteHost) -> None:
    """The wait ends in time and the connection can be used on."""
    started = time.monotonic()
    with pytest.raises(CommandTimedOut, match=r"0\.3 s"):
        host.run(["sleep", "5"], timeout=0.3)
    assert time.monotonic() - started < 1.5
    assert host.run(["echo", "x"], timeout=10).stdout == b"x\n"


def test_a_command_that_a_signal_ends(host: RemoteHost) -> None:
    assert host.run_script("kill -9 $$", timeout=10).exit_status == -1


@pytest.mark.quiet
def test_a_child_that_keeps_an_output_open_costs_no_more_than_the_time_limit(host: RemoteHost) -> None:
    started = time.monotonic()
    with pytest.raises(CommandTimedOut):
        host.run_script("sleep 3 & exit 0", timeout=0.5)
    assert time.monotonic() - started < 2


def test_a_closed_connection_is_lost(host: RemoteHost) -> None:
    host.close()
    with pytest.raises(ConnectionLost):
        host.run(["true"], timeout=5)
    with pytest.raises(ConnectionLost):
        host.stream(["true"])


def test_a_server_without_exec(make_sshd: MakeSshd, connector: SshConnector) -> None:
    """What a terminal-only proxy answers ends as ExecNotSupported."""
    server = make_sshd('ForceCommand echo "Error: Your SSH client doesn\'t support PTY"; exit 1')
    with connector.connect(server.address) as host, pytest.raises(ExecNotSupported):
        host.run(["true"], timeout=10)


def test_no_further_session_is_said(make_sshd: MakeSshd, connector: SshConnector) -> None:
    server = make_sshd("MaxSessions 1")
    with connector.connect(server.address) as host:
        stream = host.stream(["cat"])
        with pytest.raises(ConnectFailed, match="no more SSH sessions"):
            host.run(["true"], timeout=10)
        stream.close()


def test_there_is_no_terminal(host: RemoteHost) -> None:
    assert host.run_script("[ ! -t 0 ] && [ ! -t 1 ] && [ ! -t 2 ]", timeout=10).exit_status == 0


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30), max_size=3))
def test_arguments_arrive_unchanged(host: RemoteHost, arguments: list[str]) -> None:
    stdout = host.run(["printf", r"%s\0", "", *arguments], timeout=10).stdout
    assert stdout.decode().split("\0")[1:-1] == arguments


def test_an_upload_arrives_whole_and_private(host: RemoteHost, sshd: Sshd) -> None:
    """Content and hash agree, the path is absolute, only the user can read it, nothing else is left there."""
    content = os.urandom(300_000)
    path = Path(_upload(host, content, folder="~/.cache/it's a $(folder)"))
    assert path == sshd.home / ".cache" / "it's a $(folder)" / "runner.pyz"
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["runner.pyz"]


def test_an_upload_twice_is_one_file(host: RemoteHost) -> None:
    """The second finds the first and leaves it alone; other content under the name is replaced."""
    first = Path(_upload(host, b"one"))
    inode = first.stat().st_ino
    assert Path(_upload(host, b"one")) == first
    assert first.stat().st_ino == inode
    _upload(host, b"two")
    assert first.read_bytes() == b"two"


def test_uploads_at_once_do_not_disturb_each_other(sshd: Sshd, connector: SshConnector) -> None:
    content = os.urandom(2 * MEGABYTE)
    paths: list[str] = []

    def work() -> None:
        with connector.connect(sshd.address) as host:
            paths.append(_upload(host, content))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert Path(paths[0]).read_bytes() == content
    assert os.listdir(Path(paths[0]).parent) == ["runner.pyz"]


def test_a_shell_that_prints_does_not_break_anything(host: RemoteHost, sshd: Sshd) -> None:
    """Noise of .bashrc on both outputs stands before the output, and uploads work."""
    (sshd.home / ".bashrc").write_text("echo noise; echo more noise >&2; printf 'no line end'\n")
    assert host.run(["echo", "x"], timeout=10).stdout.endswith(b"x\n")
    assert Path(_upload(host, b"\0binary")).read_bytes() == b"\0binary"


def test_a_shell_that_eats_input_is_noticed(host: RemoteHost, sshd: Sshd) -> None:
    (sshd.home / ".bashrc").write_text("head -c 3 >/dev/null\n")
    with pytest.raises(TransferFailed, match="arrived damaged"):
        _upload(host, b"some content")
    assert not (sshd.home / "up" / "runner.pyz").exists()


def test_a_wrong_hash_leaves_nothing(host: RemoteHost, sshd: Sshd) -> None:
    with pytest.raises(TransferFailed, match="arrived damaged"):
        host.upload(b"x", folder="~/up", name="runner.pyz", sha256="0" * 64, timeout=10)
    assert os.listdir(sshd.home / "up") == []


@pytest.mark.parametrize(
    ("tools", "fails"), [("sha256sum", False), ("shasum", False), ("python3", False), ("none", False), ("cat", True)]
)
def test_what_checks_the_hash(host: RemoteHost, sshd: Sshd, tools: str, fails: bool) -> None:
    """sha256sum, else shasum, else python3, else the size; an error of a tool is a failed upload."""
    folder = sshd.folder / "bin"
    folder.mkdir()
    needed = ["sh", "mkdir", "cat", "mv", "rm", "wc"]
    for name in needed if tools == "none" else [*needed, tools]:
        found = next((path for path in (Path("/usr/bin", name), Path("/bin", name)) if path.exists()), None)
        if found is None:
            pytest.skip(f"{name} is not here")
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(found)
    if fails:
        (folder / "sha256sum").write_text("#!/bin/sh\nexit 1\n")
        (folder / "sha256sum").chmod(0o755)
    (sshd.home / ".bashrc").write_text(f"PATH={folder}\n")
    if fails:
        with pytest.raises(TransferFailed):
            _upload(host, b"content")
    else:
        assert Path(_upload(host, b"content")).read_bytes() == b"content"


def test_a_folder_that_cannot_be_made_is_said(host: RemoteHost) -> None:
    with pytest.raises(TransferFailed, match="cannot be created"):
        _upload(host, b"x", folder="/dev/null/x")


def test_a_stream_brings_lines_as_they_come(host: RemoteHost) -> None:
    """None while nothing is new, the lines, the last one without an end, then the end and the status."""
    stream = host.stream(["sh", "-c", "echo one; read x; echo two $x; printf three; echo err >&2; exit 5"])
    assert stream.read_line(10) == b"one\n"
    assert stream.read_line(0.05) is None
    stream.send(b"word\n")
    assert stream.read_line(10) == b"two word\n"
    assert stream.read_line(10) == b"three"
    assert stream.read_line(10) == b""
    assert stream.read_line(10) == b""
    assert stream.exit_status(10) == 5
    assert stream.stderr_tail == b"err\n"
    stream.close()
    stream.close()


def test_a_stream_drains_its_error_output(host: RemoteHost) -> None:
    """8 MB of errors before and between the lines: the last 4 KB are kept."""
    script = "head -c 8000000 /dev/zero >&2; echo one; head -c 8000000 /dev/zero >&2; echo end >&2; echo two"
    stream = host.stream(["sh", "-c", script])
    assert stream.read_line(30) == b"one\n"
    assert stream.read_line(30) == b"two\n"
    assert stream.read_line(30) == b""
    assert len(stream.stderr_tail) == 4096
    assert stream.stderr_tail.endswith(b"end\n")


def test_a_stream_of_many_lines_is_whole(host: RemoteHost) -> None:
    stream = host.stream(["seq", "1", "200000"])
    lines = 0
    while (line := stream.read_line(10)) != b"":
        assert line is not None
        lines += 1
        assert int(line) == lines
    assert lines == 200_000


def test_a_line_without_an_end_is_no_line(host: RemoteHost) -> None:
    """Memory is bounded whatever the other side sends."""
    stream = host.stream(["cat", "/dev/zero"])
    with pytest.raises(TooMuchOutput, match="endless line"):
        stream.read_line(60)
    stream.close()


def test_a_stream_ends_its_command_by_the_end_of_input(host: RemoteHost, sshd: Sshd) -> None:
    stream = host.stream(["sh", "-c", "cat; touch ~/ended"])
    stream.close()
    wait_until((sshd.home / "ended").exists, 30, "the command sees the end of its input")


def _upload(host: RemoteHost, content: bytes, folder: str = "~/up") -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    return host.upload(content, folder=folder, name="runner.pyz", sha256=sha256, timeout=20)
