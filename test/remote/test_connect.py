"""Logging in to a real sshd: keys, their order, and what is said when none is accepted."""

from __future__ import annotations

import gc
import re
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.address import parse_address
from app.domain.errors import AuthenticationFailed, ConnectFailed, HostKeyMismatch, RemoteError
from app.remote.connector import SshConnector
from app.sync.instance_checks import InstanceChecks
from test.remote.conftest import TIMEOUTS, MakeConnector, MakeSshd, Sshd, make_key
from test.support.memory_pins import MemoryPins
from test.support.waiting import wait_until

pytestmark = pytest.mark.sshd


def test_it_works(sshd: Sshd, connector: SshConnector) -> None:
    """A key logs in, a command runs, and the key that was shown is pinned."""
    with connector.connect(sshd.address) as host:
        result = host.run(["echo", "it's", "$HOME"], timeout=10)
        assert (result.exit_status, result.stdout, result.stderr) == (0, b"it's $HOME\n", b"")
        assert host.host_key.sha256 == sshd.fingerprint()
        assert (host.endpoint.host, host.endpoint.port) == ("127.0.0.1", sshd.port)
        assert host.is_alive
    assert not host.is_alive


def test_a_refused_key_is_named(sshd: Sshd, connector: SshConnector, tmp_path: Path) -> None:
    """The error tells path and fingerprint of each key, and nothing of the key itself."""
    key = make_key(tmp_path / "wrong")
    with pytest.raises(AuthenticationFailed) as caught:
        connector.connect(parse_address(f"ssh -p {sshd.port} -i {key} -i /no/such/key root@127.0.0.1"))
    assert str(key) in caught.value.message
    assert "ssh-ed25519 SHA256:" in caught.value.message
    assert "/no/such/key: no such file" in caught.value.message
    assert "PRIVATE KEY" not in caught.value.message


def test_no_key_at_all_is_said(sshd: Sshd, connector: SshConnector) -> None:
    with pytest.raises(AuthenticationFailed, match="no SSH key to log in"):
        connector.connect(parse_address(f"root@127.0.0.1:{sshd.port}"))


def test_a_locked_key_needs_its_passphrase(sshd: Sshd, connector: SshConnector, tmp_path: Path) -> None:
    """A key with a passphrase is named as such, for OpenSSH's own format and for PEM."""
    modern = make_key(tmp_path / "modern", passphrase="secret")
    pem = tmp_path / "pem"
    command = ["ssh-keygen", "-q", "-m", "PEM", "-t", "rsa", "-b", "2048", "-N", "secret", "-f", str(pem)]
    subprocess.run(command, check=True)
    with pytest.raises(AuthenticationFailed) as caught:
        connector.connect(parse_address(f"ssh -i {modern} -i {pem} root@127.0.0.1:{sshd.port}"))
    assert f"{modern}: needs a passphrase" in caught.value.message
    assert f"{pem}: needs a passphrase" in caught.value.message


def test_a_file_that_is_no_key_is_named(sshd: Sshd, connector: SshConnector, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(AuthenticationFailed, match="text: not a readable private key"):
        connector.connect(parse_address(f"ssh -i {tmp_path}/text -i {tmp_path} root@127.0.0.1:{sshd.port}"))


@pytest.mark.parametrize("key_type", ["ed25519", "ecdsa", "rsa"])
def test_the_usual_files_are_tried(sshd: Sshd, connector: SshConnector, ssh_dir: Path, key_type: str) -> None:
    """`~/.ssh/id_*` logs in without being named."""
    key = make_key(ssh_dir / f"id_{key_type}", key_type)
    shutil.copy(key.with_suffix(".pub"), sshd.folder / "authorized_keys")
    connector.connect(parse_address(f"root@127.0.0.1:{sshd.port}")).close()


def test_the_settings_keys_are_tried(sshd: Sshd, make_connector: MakeConnector) -> None:
    connector = make_connector(key_files=(str(sshd.client_key),))
    connector.connect(parse_address(f"root@127.0.0.1:{sshd.port}")).close()


def test_more_keys_than_one_connection_takes(sshd: Sshd, connector: SshConnector, tmp_path: Path) -> None:
    """The server ends a connection after six refused keys; the seventh and eighth are tried on the next one."""
    keys = [make_key(tmp_path / f"wrong{number}") for number in range(7)]
    options = " ".join(f"-i {key}" for key in [*keys, sshd.client_key])
    connector.connect(parse_address(f"ssh {options} root@127.0.0.1:{sshd.port}")).close()


def test_the_agents_keys_are_tried(
    sshd: Sshd, connector: SshConnector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that only the agent can use logs in, also in the place of its locked file, and is never forwarded."""
    locked = shutil.copy(sshd.client_key, tmp_path / "locked")
    shutil.copy(sshd.client_key.with_suffix(".pub"), tmp_path / "locked.pub")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(locked)], check=True)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.PIPE)
    try:
        assert agent.stdout
        agent.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        subprocess.run(["ssh-add", "-q", str(sshd.client_key)], check=True)
        for option in ("", f"-i {locked}"):
            with connector.connect(parse_address(f"ssh {option} root@127.0.0.1:{sshd.port}")) as host:
                assert host.run(["sh", "-c", "echo ${SSH_AUTH_SOCK-none}"], timeout=10).stdout == b"none\n"
    finally:
        agent.terminate()
        agent.wait(10)
        agent.stdout.close()  # type: ignore[union-attr]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paramiko leaves its socket open then
@pytest.mark.quiet
def test_an_agent_that_does_not_answer_costs_no_more_than_the_deadline(
    sshd: Sshd, make_connector: MakeConnector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "silent"))
        started = time.monotonic()
        with pytest.raises(ConnectFailed, match="SSH agent"):
            make_connector(connect=1.0).connect(sshd.address)
        assert time.monotonic() - started < 2
    wait_until(
        lambda: not any("deadline-" in thread.name for thread in threading.enumerate()), 3, "the agent's thread ends"
    )
    gc.collect()


def test_another_login_than_by_key_is_said(make_sshd: MakeSshd, connector: SshConnector) -> None:
    server = make_sshd("PubkeyAuthentication no", "HostbasedAuthentication yes")
    with pytest.raises(AuthenticationFailed, match="not by SSH key"):
        connector.connect(server.address)


def test_a_second_step_of_login_is_said(make_sshd: MakeSshd, connector: SshConnector) -> None:
    """A server that wants more than the key ends as AuthenticationFailed, not as a success."""
    server = make_sshd("AuthenticationMethods publickey,publickey")
    with pytest.raises(AuthenticationFailed):
        connector.connect(server.address)


def test_a_banner_changes_nothing(make_sshd: MakeSshd, connector: SshConnector, tmp_path: Path) -> None:
    (tmp_path / "banner").write_text("Welcome\nSSH-2.0-fake\n" * 50)
    server = make_sshd(f"Banner {tmp_path}/banner")
    with connector.connect(server.address) as host:
        assert host.run(["echo", "x"], timeout=10).stdout == b"x\n"


def test_a_full_server_is_tried_again(make_sshd: MakeSshd, make_connector: MakeConnector) -> None:
    """Connections that MaxStartups drops before the greeting are tried again within the deadline."""
    server = make_sshd("MaxStartups 1")
    connector = make_connector(connect=10.0)
    blocker = _occupy(server)
    threading.Timer(1.0, blocker.close).start()
    started = time.monotonic()
    connector.connect(server.address).close()
    assert time.monotonic() - started < 5
    assert re.search(r"drop connection|past MaxStartups", server.log)


@pytest.mark.quiet
def test_a_server_that_stays_full_is_said(make_sshd: MakeSshd, make_connector: MakeConnector) -> None:
    server = make_sshd("MaxStartups 1")
    with _occupy(server):
        started = time.monotonic()
        with pytest.raises(ConnectFailed, match="busy, or still starting"):
            make_connector(connect=1.5).connect(server.address)
        assert time.monotonic() - started < 2.5


def _occupy(server: Sshd) -> socket.socket:
    """A connection that holds the server's only place for those that have not logged in."""
    found: list[socket.socket] = []

    def try_once() -> bool:
        sock = socket.create_connection(("127.0.0.1", server.port))
        if sock.recv(100).startswith(b"SSH-"):
            found.append(sock)
        else:
            sock.close()
        return bool(found)

    wait_until(try_once, 30, "sshd has a free place")
    return found[0]


def test_a_jump_host_is_gone_through(make_sshd: MakeSshd, make_connector: MakeConnector, ssh_dir: Path) -> None:
    """`-J` and ProxyJump reach an instance through another one, each with its own key and pinned host key."""
    jump, target = make_sshd(), make_sshd()
    connector = make_connector(key_files=(str(jump.client_key),))
    command = f"ssh -J root@127.0.0.1:{jump.port} -i {target.client_key} root@127.0.0.1:{target.port}"
    with connector.connect(parse_address(command)) as host:
        assert host.run(["sh", "-c", "echo $HOME"], timeout=10).stdout == f"{target.home}\n".encode()
        assert host.upload(b"x" * 100_000, folder="~/a", name="b", sha256=_SHA256_OF_X, timeout=10)
    (ssh_dir / "config").write_text(
        f"Host gpu\n HostName 127.0.0.1\n Port {target.port}\n IdentityFile {target.client_key}\n ProxyJump jump\n"
        f"Host jump\n HostName 127.0.0.1\n Port {jump.port}\n User root\n"
    )
    with connector.connect(parse_address("gpu")) as host:
        assert host.run(["true"], timeout=10).exit_status == 0


def test_a_jump_host_whose_key_has_changed_is_the_one_that_is_asked_about(
    make_sshd: MakeSshd, make_connector: MakeConnector, pins: MemoryPins
) -> None:
    """And the one whose key is trusted then: the very key that was shown, no other."""
    jump, target = make_sshd(), make_sshd()
    connector = make_connector(key_files=(str(jump.client_key),))
    address = parse_address(f"ssh -J root@127.0.0.1:{jump.port} -i {target.client_key} root@127.0.0.1:{target.port}")
    connector.connect(address).close()
    [before] = pins.find("127.0.0.1", jump.port)
    other = pins.find("127.0.0.1", target.port)[0]
    pins.replace(replace(before, key_base64=other.key_base64, sha256=other.sha256))
    with pytest.raises(HostKeyMismatch) as caught:
        connector.connect(address)
    assert caught.value.is_jump_host
    assert caught.value.presented is not None and caught.value.presented.port == jump.port
    checks = InstanceChecks(pins, lambda _: connector, TIMEOUTS)
    with pytest.raises(HostKeyMismatch):
        checks.accept(address, "SHA256:another")
    accepted = checks.accept(address, caught.value.presented.sha256)
    assert (accepted["port"], accepted["sha256"]) == (jump.port, before.sha256)
    connector.connect(address).close()


def test_a_scan_trusts_no_jump_host(make_sshd: MakeSshd, make_connector: MakeConnector, pins: MemoryPins) -> None:
    """It shows the key of one that is new, and the instance's once a person has accepted that."""
    jump, target = make_sshd(), make_sshd()
    connector = make_connector(key_files=(str(jump.client_key),))
    address = parse_address(f"ssh -J root@127.0.0.1:{jump.port} -i {target.client_key} root@127.0.0.1:{target.port}")
    checks = InstanceChecks(pins, lambda _: connector, TIMEOUTS)
    key, is_jump_host = checks.scan(address)
    assert (key["port"], is_jump_host) == (jump.port, True)
    assert pins.all() == []
    checks.accept(address, key["sha256"])
    key, is_jump_host = checks.scan(address)
    assert (key["port"], is_jump_host) == (target.port, False)
    assert [known.port for known in pins.all()] == [jump.port]


_SHA256_OF_X = "d69e68988157833272305aaf21f453c800346e8a3640db6578e260215542e5d4"


def test_jump_hosts_that_go_in_circles_end(connector: SshConnector, ssh_dir: Path) -> None:
    (ssh_dir / "config").write_text("Host *\n ProxyJump again\n")
    with pytest.raises(ConnectFailed) as caught:
        connector.connect(parse_address("gpu"))
    assert caught.value.code == "too_many_jumps"


def test_many_connections_at_once(sshd: Sshd, connector: SshConnector, pins: MemoryPins) -> None:
    """One connector serves many threads, more than MaxStartups takes at a time; the key is pinned once."""
    errors: list[RemoteError] = []

    def work() -> None:
        try:
            with connector.connect(sshd.address) as host:
                host.run(["true"], timeout=10)
        except RemoteError as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(pins.all()) == 1
