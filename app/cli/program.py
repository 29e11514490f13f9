"""How the person called this program, for the commands that messages name."""

from __future__ import annotations

from app.called_as import IS_CHECKOUT, RUN_FILE, as_called, own_command, program

ROOT = RUN_FILE.parent

__all__ = ["IS_CHECKOUT", "ROOT", "RUN_FILE", "as_called", "own_command", "program"]
