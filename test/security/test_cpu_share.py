"""An instance that tells news without end slows its own task down, and nothing else."""

from __future__ import annotations

from app.protocol.events import Event, RunStarted, encode
from test.support.hostile_bench import bench

__all__ = ["bench"]  # a fixture

STARTED = encode(Event(RunStarted("t", "1", 1, None), 1, 1.0, 1.0))
