"""The private names of paramiko that the service leans on are still there and still mean the same."""

from __future__ import annotations

import inspect
import logging

import paramiko

from app.remote.transport import ServiceTransport


def test_the_idle_wake_up_can_be_slowed_down() -> None:
    assert paramiko.Transport._active_check_timeout == 0.1  # type: ignore[attr-defined]
    assert ServiceTransport._active_check_timeout == 1.0
    assert "_active_check_timeout" in inspect.getsource(paramiko.Transport.__init__)


def test_exec_is_still_sent_in_this_way() -> None:
    """`start_exec` repeats the body of exec_command up to its endless wait."""
    source = inspect.getsource(paramiko.Channel.exec_command)
    for part in (
        "cMSG_CHANNEL_REQUEST",
        'add_string("exec")',
        "add_boolean(True)",
        "_event_pending()",
        "_send_user_message",
    ):
        assert part in source
    assert "event_ready" in inspect.getsource(paramiko.Channel._wait_for_event)  # type: ignore[attr-defined]


def test_both_outputs_can_wake_one_event() -> None:
    channel = paramiko.Channel(1)
    assert hasattr(channel.in_buffer, "set_event")
    assert hasattr(channel.in_stderr_buffer, "set_event")
    assert hasattr(channel, "status_event")


def test_paramiko_is_quiet() -> None:
    """Its tracebacks of what is raised to the caller anyway go nowhere."""
    assert not logging.getLogger("paramiko.transport").isEnabledFor(logging.ERROR)
