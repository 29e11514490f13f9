"""The command line: `main` is the console script's and run.py's entry."""

from app.cli.entry import main

__all__ = ["main"]
