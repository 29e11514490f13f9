"""Which host keys of a real sshd are accepted, all of it before anything about the user is sent."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from app.domain.errors import HostKeyMismatch
from app.domain.hostkeys import HostKey
from app.remote.connector import SshConnector
from test.remote.conftest import MakeSshd, Sshd
from test.support.memory_pins import MemoryPins

pytestmark = pytest.mark.sshd


def test_the_first_key_is_pinned_and_known_again(sshd: Sshd, connector: SshConnector, pins: MemoryPins) -> None:
    connector.connect(sshd.address).close()
    connector.connect(sshd.address).close()
    (pin,) = pins.all()
    assert (pin.host, pin.port, pin.key_type, pin.sha256) == ("127.0.0.1", sshd.port, "ssh-ed25519", sshd.fingerprint())
    assert (pin.source, pin.added_at) == ("accept-new", 1000.0)


@pytest.mark.parametrize("new_type", ["ed25519", "ecdsa", "rsa"])
def test_a_changed_key_is_refused(sshd: Sshd, connector: SshConnector, pins: MemoryPins, new_type: str) -> None:
    """Of the same or another type: both fingerprints, host and port are named, the pin stays, no login is tried."""
    connector.connect(sshd.address).close()
    before = sshd.fingerprint()
    sshd.change_host_key(new_type)
    (sshd.folder / "log").write_text("")
    with pytest.raises(HostKeyMismatch) as caught:
        connector.connect(sshd.address)
    for part in (before, sshd.fingerprint(new_type), f"127.0.0.1:{sshd.port}"):
        assert part in caught.value.message
    assert "hostkeys forget" in caught.value.hint
    assert [pin.sha256 for pin in pins.all()] == [before]
    assert "publickey" not in sshd.log


def test_a_forgotten_key_makes_room_for_the_new_one(sshd: Sshd, connector: SshConnector, pins: MemoryPins) -> None:
    connector.connect(sshd.address).close()
    sshd.change_host_key()
    pins.forget("127.0.0.1", sshd.port)
    connector.connect(sshd.address).close()
    assert [pin.sha256 for pin in pins.all()] == [sshd.fingerprint()]


def test_the_known_type_is_asked_for(make_sshd: MakeSshd, connector: SshConnector, pins: MemoryPins) -> None:
    """A server with several keys shows the one that is pinned, whatever it would show to a stranger."""
    server = make_sshd(key_types=("rsa", "ecdsa", "ed25519"))
    shown = connector.scan_host_key(server.address)
    assert pins.all() == []
    for key_type in ("rsa", "ecdsa"):
        words = server.host_key_line("x", key_type).split()
        pins.forget("127.0.0.1", server.port)
        pins.add_first(HostKey("127.0.0.1", server.port, words[1], words[2], server.fingerprint(key_type)))
        with connector.connect(server.address) as host:
            assert host.host_key.sha256 == server.fingerprint(key_type) != shown.sha256


def test_the_users_known_hosts_counts(
    sshd: Sshd, connector: SshConnector, pins: MemoryPins, ssh_dir: Path, make_sshd: MakeSshd
) -> None:
    """Among garbage too: a known key is accepted without a pin, a different one is refused, naming the file."""
    known_hosts, name = ssh_dir / "known_hosts", f"[127.0.0.1]:{sshd.port}"
    known_hosts.write_text(f"garbage\n{name} ssh-ed25519 AAAA!\n{sshd.host_key_line(name)}\n")
    connector.connect(sshd.address).close()
    assert pins.all() == []
    other = make_sshd()
    known_hosts.write_text(f"\x00\n{other.host_key_line(name)}\n")
    with pytest.raises(HostKeyMismatch) as caught:
        connector.connect(sshd.address)
    assert other.fingerprint() in caught.value.message
    assert sshd.fingerprint() in caught.value.message
    assert f"ssh-keygen -f {known_hosts} -R '{name}'" in caught.value.hint


def test_a_hashed_known_host_counts(sshd: Sshd, connector: SshConnector, pins: MemoryPins, ssh_dir: Path) -> None:
    known_hosts = ssh_dir / "known_hosts"
    known_hosts.write_text(sshd.host_key_line(f"[127.0.0.1]:{sshd.port}") + "\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known_hosts)], check=True, capture_output=True)
    connector.connect(sshd.address).close()
    assert pins.all() == []


def test_our_pin_goes_before_known_hosts(
    sshd: Sshd, connector: SshConnector, pins: MemoryPins, ssh_dir: Path, make_sshd: MakeSshd
) -> None:
    """A key that was accepted here counts, though the user's file still has the old one."""
    (ssh_dir / "known_hosts").write_text(make_sshd().host_key_line(f"[127.0.0.1]:{sshd.port}") + "\n")
    pins.add_first(connector.scan_host_key(sshd.address))
    connector.connect(sshd.address).close()


def test_a_revoked_key_is_refused(sshd: Sshd, connector: SshConnector, pins: MemoryPins, ssh_dir: Path) -> None:
    pins.add_first(connector.scan_host_key(sshd.address))
    (ssh_dir / "known_hosts").write_text(f"@revoked {sshd.host_key_line('*')}\n")
    with pytest.raises(HostKeyMismatch, match="revoked") as caught:
        connector.connect(sshd.address)
    assert caught.value.code == "host_key_revoked"


@pytest.mark.parametrize("prefix", ["SHA256:", ""])
@pytest.mark.parametrize("key_type", ["ed25519", "ecdsa", "rsa"])
def test_the_wanted_fingerprint_is_found(
    make_sshd: MakeSshd, connector: SshConnector, pins: MemoryPins, prefix: str, key_type: str
) -> None:
    """Of whichever type it is, with or without its prefix; it takes the place of another pin."""
    server = make_sshd(key_types=("ed25519", "ecdsa", "rsa"))
    pins.add_first(HostKey("127.0.0.1", server.port, "ssh-ed25519", "AAAA", "SHA256:old"))
    wanted = server.fingerprint(key_type)
    connector.connect(server.address, host_key_sha256=prefix + wanted.removeprefix("SHA256:")).close()
    assert [pin.sha256 for pin in pins.all()] == [wanted]


def test_another_fingerprint_than_wanted_is_refused(sshd: Sshd, connector: SshConnector, pins: MemoryPins) -> None:
    """Also when the key is pinned: the message has both."""
    connector.connect(sshd.address).close()
    wanted = "SHA256:" + 43 * "A"
    with pytest.raises(HostKeyMismatch) as caught:
        connector.connect(sshd.address, host_key_sha256=wanted)
    assert wanted in caught.value.message
    assert sshd.fingerprint() in caught.value.message
    assert [pin.sha256 for pin in pins.all()] == [sshd.fingerprint()]
    assert sshd.log.count("Accepted publickey") == 1


def test_a_scan_changes_nothing(sshd: Sshd, connector: SshConnector, pins: MemoryPins) -> None:
    """It shows the key without logging in and without pinning."""
    key = connector.scan_host_key(sshd.address)
    assert (key.sha256, key.source, key.port) == (sshd.fingerprint(), "scan", sshd.port)
    assert pins.all() == []
    assert "Accepted" not in sshd.log
