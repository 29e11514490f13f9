"""An instance that tells news without end slows its own task down, and nothing else."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from app.protocol.events import BuildChanged, Event, RunStarted, encode
from app.sync.installs.cpu_share import AT_ONCE_SECONDS, SHARE, CpuShare
from test.support.hostile_bench import HostileBench, bench
from test.support.hostile_sshd import Exec
from test.support.waiting import wait_until

__all__ = ["bench"]  # a fixture

STARTED = encode(Event(RunStarted("t", "1", 1, None), 1, 1.0, 1.0))
