"""Hosts and ports as one text, and back."""

from __future__ import annotations

import re

import pytest

from app.domain.host_port import bracketed, join_host_port, split_host_port
from test.house.sources import sources

PAIRS = [
    ("ssh6.vast.ai", 22, "ssh6.vast.ai:22"),
    ("10.0.0.7", 65535, "10.0.0.7:65535"),
    ("2001:db8::1", 1, "[2001:db8::1]:1"),
]


@pytest.mark.parametrize(("host", "port", "text"), PAIRS)
def test_it_works(host: str, port: int, text: str) -> None:
    assert join_host_port(host, port) == text
    assert split_host_port(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":22", "[]:22", "host:0", "host:65536", "host:2²", "host:-1", "a\n:22"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        split_host_port(text)


def test_brackets_are_not_put_twice() -> None:
    assert bracketed("[::1]") == bracketed("::1") == "[::1]"


def test_the_brackets_are_written_in_one_place() -> None:
    """And by known_hosts, whose rule is another: brackets for every port but 22."""
    written = re.compile(r"\[\{[\w.]*host[\w.()]*\}\]")
    found = {source.path for source in sources("app") if written.search(source.text)}
    assert found == {"app/domain/host_port.py", "app/remote/known_hosts.py"}
