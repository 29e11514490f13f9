"""How the person called this program, for the commands that messages name."""

from __future__ import annotations

from app.called_as import RUN_FILE, as_called, program

ROOT = RUN_FILE.parent

__all__ = ["ROOT", "RUN_FILE", "as_called", "program"]
