"""Writes the requirements*.txt anew from their .in files: `make lock`.

Each package gets the hashes of all its files, so that a lock made on one system serves every other one. The uv that
resolves is fetched by its hash into a folder that is removed again.
"""

from __future__ import annotations

import os
import subprocess  # noqa: TID251 - uv is a program
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

from app.runner.resolve.fetched_tools import UV

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = "3.11"
_HEADER = "# Written by `make lock` from %s: what it names and what that needs, with the hashes of all their files.\n"
_SECONDS = 600
LOCKS: Sequence[tuple[str, Sequence[str]]] = (
    ("requirements", ()),
    ("requirements-notify", ("-c", "requirements.txt")),
    ("requirements-templates", ("-c", "requirements.txt")),
    ("requirements-postgresql", ("-c", "requirements.txt")),
    (
        "requirements-dev",
        ("-c", "requirements.txt", "-c", "requirements-notify.txt", "-c", "requirements-postgresql.txt"),
    ),
)


def main() -> None:
    """Write all. `--upgrade` takes newer versions of what the .in files do not pin."""
    with tempfile.TemporaryDirectory(prefix="lock-") as name:
        uv = _uv(Path(name))
        for lock, more in LOCKS:
            argv = [uv, "pip", "compile", "-q", "--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"]
            # With extras: pip before 23.3 does not find the hash of `coverage[toml]` at `coverage`.
            argv += ["--no-header", "--no-strip-extras", "--no-emit-index-url", "--no-emit-find-links", *more]
            argv += sys.argv[1:]
            _run([*argv, "--output-file", f"{lock}.txt", f"{lock}.in"])
            path = ROOT / f"{lock}.txt"
            path.write_text(_HEADER % f"{lock}.in" + _without_header(path.read_text("utf-8")), "utf-8")


def _uv(folder: Path) -> str:
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv/bin/python")
    _run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *UV.arguments(folder)])
    return str(folder / "venv/bin/uv")


def _without_header(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines[1:] if lines and lines[0].startswith("# Written by") else lines)


def _run(argv: Sequence[str]) -> None:
    # A machine's own index may lack other systems' files; the lock is made of the public one.
    kept = os.environ.items()  # noqa: TID251 - for a program of its own
    environ = {name: value for name, value in kept if not name.startswith("UV_")}
    subprocess.run(argv, cwd=ROOT, env={**environ, "UV_NO_CONFIG": "1"}, check=True, timeout=_SECONDS)


if __name__ == "__main__":
    main()
