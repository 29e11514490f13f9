"""What ends a run on the instance. A node pack that fails is data, never one of these."""

from __future__ import annotations

from app.protocol.snapshot import Problem


class RunFault(Exception):
    """The run itself cannot go on."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(code, message, hint)


class RunCancelled(Exception):
    """The run was asked to stop."""
