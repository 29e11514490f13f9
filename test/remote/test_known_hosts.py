"""The user's known_hosts is read line by line; what cannot be understood costs only itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.remote.known_hosts import look_up

_ONE = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
_TWO = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
_LINE = f"ssh-ed25519 {_ONE}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


@pytest.mark.parametrize(
    ("names", "host", "port", "known"),
    [
        ("host", "host", 22, True),
        ("HOST", "Host", 22, True),
        ("host", "host", 2222, False),
        ("[host]:2222", "host", 2222, True),
        ("[host]:2222", "host", 22, False),
        ("[host]:22", "host", 2222, False),
        ("a,host,192.0.2.1", "192.0.2.1", 22, True),
        ("*.example.com", "a.example.com", 22, True),
        ("*.example.com", "example.com", 22, False),
        ("*.example.com,!b.example.com", "b.example.com", 22, False),
        ("h?st", "host", 22, True),
        ("[[]h]ost", "host", 22, False),
        ("[2001:db8::1]:22", "2001:db8::1", 2222, False),
        ("2001:db8::1", "2001:db8::1", 22, True),
    ],
)
def test_names_and_ports(file: Path, names: str, host: str, port: int, known: bool) -> None:
    """Names, wildcards, exceptions and ports mean what sshd(8) says."""
    file.write_text(f"{names} {_LINE} comment here\n")
    assert bool(look_up([file], host, port).keys) is known


def test_hashed_names(file: Path) -> None:
    """What `ssh-keygen -H` makes of a file is found again."""
    file.write_text(f"host {_LINE}\n[host]:2222 ssh-ed25519 {_TWO}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    assert "host" not in file.read_text()
    assert [key.key_base64 for key in look_up([file], "host", 22).keys] == [_ONE]
    assert [key.key_base64 for key in look_up([file], "host", 2222).keys] == [_TWO]
    assert not look_up([file], "other", 22).keys


def test_garbage_costs_only_itself(file: Path) -> None:
    file.write_bytes(
        b"\xff\xfe\x00\n\x00 \x00 \x80\nhost\nhost ssh-ed25519\nhost ssh-ed25519 !!!\nhost ssh-rsa "
        + _ONE.encode()
        + b"\n@nonsense\n|1|x host\n|1|%%|%% "
        + _LINE.encode()
        + b"\n# host "
        + _LINE.encode()
        + b"\n\n@cert-authority host "
        + _LINE.encode()
        + b"\n"
        + f"host ssh-ed25519 {_TWO}\n".encode()
    )
    assert [key.key_base64 for key in look_up([file], "host", 22).keys] == [_TWO]


def test_revoked_keys_are_apart(file: Path) -> None:
    file.write_text(f"@revoked * {_LINE}\nhost ssh-ed25519 {_TWO}\n")
    known = look_up([file], "host", 22)
    assert known.revoked == {_ONE}
    assert [key.key_base64 for key in known.keys] == [_TWO]
    assert known.keys[0].source == str(file)


def test_missing_files_know_nothing(tmp_path: Path) -> None:
    assert look_up([tmp_path / "none", tmp_path], "host", 22).keys == []


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200))
def test_no_file_makes_it_fail(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("known") / "known_hosts"
    path.write_bytes(content + f"\nhost {_LINE}\n".encode())
    assert [key.key_base64 for key in look_up([path], "host", 22).keys][-1] == _ONE
