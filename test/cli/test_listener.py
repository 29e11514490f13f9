"""Ports: taken, free, asked for."""

from __future__ import annotations

import pytest

from app.cli.errors import CliError
from app.cli.server.listener import bind, url_of


def test_a_taken_default_port_is_named_and_the_next_one_used() -> None:
    """Nobody asked for that port: the service comes up beside whoever has it."""
    said: list[str] = []
    with bind("127.0.0.1", 0, explicit=True, say=said.append) as first:
        first.listen()
        port = first.getsockname()[1]
        with bind("127.0.0.1", port, explicit=False, say=said.append) as second:
            assert second.getsockname()[1] > port
            assert said == [f"Port {port} is in use; using {second.getsockname()[1]}."]


def test_a_taken_port_that_was_asked_for_is_an_error() -> None:
    """Another port than the asked one would not be found."""
    with bind("127.0.0.1", 0, explicit=True, say=print) as first:
        first.listen()
        with pytest.raises(CliError, match="is in use"):
            bind("127.0.0.1", first.getsockname()[1], explicit=True, say=print)


def test_an_address_that_is_not_this_machine_s_is_an_error() -> None:
    """The reason is the system's own."""
    with pytest.raises(CliError, match=r"cannot listen on 192\.0\.2\.1"):
        bind("192.0.2.1", 0, explicit=True, say=print)


def test_an_ipv6_url_has_brackets() -> None:
    """The URL can be pasted."""
    with bind("::1", 0, explicit=True, say=print) as listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
