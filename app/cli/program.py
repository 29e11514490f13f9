"""How the person called this program, for the commands that messages name."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN_FILE = ROOT / "run.py"


def program() -> str:
    """`python run.py` or `nodeferry`."""
    return "python run.py" if sys.argv[0].endswith(".py") else "nodeferry"
