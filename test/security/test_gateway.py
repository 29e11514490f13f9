"""The tunnel to a ComfyUI lets in who has its capability, from its own pages, and nobody else."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from test.support.played_comfyui import OpenTunnel, PlayedComfyUi, raw, tunnel_to

pytestmark = pytest.mark.sshd


@pytest.fixture(scope="module")
def comfyui() -> Iterator[PlayedComfyUi]:
    """Runs on the instance."""
    played = PlayedComfyUi()
    yield played
    played.close()


@pytest.fixture(scope="module")
def tunnel(comfyui: PlayedComfyUi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenTunnel]:
    """Leads to it."""
    with tunnel_to(comfyui.port, tmp_path_factory.mktemp("t"), names=frozenset({"gpu.example"})) as opened:
        yield opened


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_neighbour_without_the_capability_reaches_nothing(tunnel: OpenTunnel, comfyui: PlayedComfyUi) -> None:
    before = len(comfyui.heads)
    answer = tunnel.say(f"GET / HTTP/1.1\r\nHost: localhost:{tunnel.port}\r\n\r\n".encode())
    assert status(answer) == 403
    assert b"tunnel_closed" in answer
    assert len(comfyui.heads) == before
    let_in = tunnel.say(tunnel.head("GET", "/", "Connection: close"))
    assert status(let_in) == 200
    assert len(comfyui.heads) == before + 1
