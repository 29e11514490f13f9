"""Nodeferry's command line from a checkout: `python run.py serve | install | demo`; `--help` explains each."""

import os
import shlex
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))


def start() -> None:
    """Run the command line, or say how to start it where its packages are not."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whichever Python somebody starts it with
        sys.exit(how_to_start(f"it needs Python 3.11 or newer, and this is {sys.version.split()[0]}"))
    try:
        from app.cli import main

        main()
    except ModuleNotFoundError as exc:  # also of a command, which is loaded when it is called
        if not exc.name or exc.name.partition(".")[0] == "app":
            raise
        sys.exit(how_to_start(f"the package {exc.name} is not installed for {sys.executable}"))


def how_to_start(why: str) -> str:
    """Why it does not start here, and the command that does."""
    python = os.path.join(ROOT, ".venv", "bin", "python")
    words = [".venv/bin/python", "run.py"] if os.getcwd() == ROOT else [python, os.path.join(ROOT, "run.py")]
    command = " ".join(map(shlex.quote, words + sys.argv[1:]))
    if os.path.exists(python):
        return f"Nodeferry does not start: {why}.\n  Start it with: {command}"
    first = "make venv" if os.getcwd() == ROOT else f"make -C {shlex.quote(ROOT)} venv"
    return f"Nodeferry does not start: {why}.\n  First, once:   {first}\n  Then start it: {command}"


if __name__ == "__main__":
    start()
