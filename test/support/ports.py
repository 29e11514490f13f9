"""Loopback ports for tests that run beside others."""

from __future__ import annotations

from app.standin.sshd import hold_port


def closed_port() -> int:
    """A port that nobody listens on. This process holds it to its end, so nobody will, unless by SO_REUSEADDR."""
    return hold_port()[0]
