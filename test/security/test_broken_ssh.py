"""An instance that breaks the rules of SSH: its task ends as one whose connection was lost, never by a bug."""

from __future__ import annotations

import paramiko
import pytest

from test.support.hostile_bench import HostileBench, bench
from test.support.hostile_sshd import Exec

__all__ = ["bench"]  # a fixture


@pytest.mark.parametrize("kind", [114, 146, 255])
def test_a_message_that_nobody_knows_is_a_lost_connection(bench: HostileBench, kind: int) -> None:
    """paramiko's thread dies of it; whoever waits for an answer is told so in words."""

    def find(called: Exec) -> None:
        message = paramiko.Message()
        message.add_byte(bytes([kind]))
        message.add_string(b"what is this")
        called.channel.get_transport()._send_user_message(message)  # type: ignore[attr-defined]
        called.channel.close()

    end = bench.ended(bench.start(bench.server(find=find)))
    assert end["state"] == "failed" and end["error"]["code"] != "internal_error", end["error"]
