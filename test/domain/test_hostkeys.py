"""What every implementation of HostKeyPins must do, shown on the one in memory."""

from __future__ import annotations

import pytest

from app.domain.hostkeys import HostKey, HostKeyPins, fingerprint_of, same_fingerprint
from test.support.memory_pins import MemoryPins

_BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
_SHA256 = "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"  # as `ssh-keygen -lf` prints it


@pytest.fixture
def pins() -> HostKeyPins:
    return MemoryPins()


def _key(host: str = "host", port: int = 22, key_type: str = "ssh-ed25519", key_base64: str = _BLOB) -> HostKey:
    return HostKey(host, port, key_type, key_base64, fingerprint_of(key_base64), added_at=1.0)


def test_nothing_is_pinned_at_first(pins: HostKeyPins) -> None:
    assert pins.find("host", 22) == []
    assert pins.all() == []
    assert pins.forget("host", 22) == 0


def test_a_key_is_found_by_host_and_port(pins: HostKeyPins) -> None:
    """Another port is another machine."""
    pins.add(_key())
    assert pins.find("host", 22) == [_key()]
    assert pins.find("host", 2222) == []
    assert pins.find("other", 22) == []


def test_the_same_key_is_pinned_once(pins: HostKeyPins) -> None:
    pins.add(_key())
    pins.add(_key())
    assert pins.all() == [_key()]


def test_keys_are_forgotten_by_address(pins: HostKeyPins) -> None:
    pins.add(_key())
    pins.add(_key(key_type="ssh-rsa", key_base64="AAAA"))
    pins.add(_key(port=2222))
    assert pins.forget("host", 22) == 2
    assert pins.all() == [_key(port=2222)]


def test_a_fingerprint_is_what_ssh_keygen_prints() -> None:
    assert fingerprint_of(_BLOB) == _SHA256
    with pytest.raises(ValueError, match="not base64"):
        fingerprint_of("%%%")


def test_fingerprints_are_compared_without_their_prefix() -> None:
    assert same_fingerprint("SHA256:abc", "abc")
    assert same_fingerprint("sha256:abc=", "SHA256:abc")
    assert not same_fingerprint("SHA256:abc", "SHA256:abC")
    assert not same_fingerprint("SHA256:abc", "")
