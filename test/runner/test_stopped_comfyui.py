"""Stopping a ComfyUI that is to be started again, on a machine where numbers of processes are soon used again."""

from __future__ import annotations

import os
import signal

import pytest

from app.runner.process import processes
from app.runner.restart import relaunch


def test_who_has_got_the_number_of_a_stopped_comfyui_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended at the TERM, and the next program has its number: that one is not killed."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: sent.append(number))
    monkeypatch.setattr(processes, "start_time", lambda _pid: 200 if sent else 100)
    assert relaunch._ended(4711)
    assert sent == [signal.SIGTERM]
