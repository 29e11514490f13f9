"""Fingerprints of host keys."""

from __future__ import annotations

import pytest

from app.domain.hostkeys import fingerprint_of, same_fingerprint

_BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
_SHA256 = "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"  # as `ssh-keygen -lf` prints it


def test_a_fingerprint_is_what_ssh_keygen_prints() -> None:
    assert fingerprint_of(_BLOB) == _SHA256
    with pytest.raises(ValueError, match="not base64"):
        fingerprint_of("%%%")


def test_fingerprints_are_compared_without_their_prefix() -> None:
    assert same_fingerprint("SHA256:abc", "abc")
    assert same_fingerprint("sha256:abc=", "SHA256:abc")
    assert not same_fingerprint("SHA256:abc", "SHA256:abC")
    assert not same_fingerprint("SHA256:abc", "")
