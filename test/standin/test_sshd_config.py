"""The text of sshd's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.standin.sshd_config import SshdOptions, is_locked, passed_environment, quoted, sshd_config

OPTIONS = SshdOptions(22222, Path("/a b/key"), Path("/a b/authorized"), {"HOME": "/a b", "PIP_CERT": "/c"})


def test_it_works() -> None:
    """Loopback, keys only, and one SetEnv line, as sshd honours only the first."""
    lines = sshd_config(OPTIONS).splitlines()
    assert "ListenAddress 127.0.0.1" in lines
    assert "PasswordAuthentication no" in lines
    assert [line for line in lines if line.startswith("SetEnv")] == ['SetEnv "HOME=/a b" "PIP_CERT=/c"']


def test_penalties_are_off_where_sshd_knows_them() -> None:
    """From OpenSSH 9.8 on a bad login locks an address out, and all clients here have the same one."""
    assert "PerSourcePenalties" not in sshd_config(OPTIONS)
    newer = SshdOptions(1, OPTIONS.host_key, OPTIONS.authorized_keys, {"HOME": "/"}, version=(9, 9))
    assert "PerSourcePenalties no" in sshd_config(newer)


def test_a_line_break_cannot_smuggle_in_an_option() -> None:
    """An argument that holds one is refused."""
    with pytest.raises(ValueError, match="line break"):
        quoted("a\nPasswordAuthentication yes")


def test_only_what_packages_need_is_passed_on() -> None:
    """Certificates, pip, uv and proxies; nothing else of the caller's, and no value with a line break."""
    environ = {"PIP_CERT": "/c", "UV_INDEX": "i", "HTTPS_PROXY": "p", "AWS_SECRET": "s", "PATH": "/", "PIP_X": "a\nb"}
    passed = passed_environment(environ)
    assert set(passed) == {"PIP_CERT", "UV_INDEX", "HTTPS_PROXY", "no_proxy", "NO_PROXY"}
    assert passed_environment({}) == {}


def test_a_locked_account_is_recognised() -> None:
    """An account whose password field starts with `!` cannot log in to an sshd without PAM."""
    shadow = "root:!*:1::\nuser:*:1::\nother:$6$x:1::\n"
    assert [is_locked(shadow, name) for name in ("root", "user", "other", "nobody")] == [True, False, False, False]
