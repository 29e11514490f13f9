"""Known vulnerabilities of what is pinned: `make audit`. Skipped, with a word, where no database can be reached."""

from __future__ import annotations

import subprocess  # noqa: TID251 - pip-audit is a program
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.txt", "requirements-notify.txt", "requirements-dev.txt")
DATABASE = "https://api.osv.dev/v1/vulns/PYSEC-2023-135"
_REACH_SECONDS = 4.0
_SECONDS = 240


def main(database: str = DATABASE) -> int:
    """0 where nothing is known, or nobody can be asked; 1 for a known vulnerability."""
    why = unreachable(database)
    if why:
        sys.stdout.write(f"make audit: skipped, no database of vulnerabilities can be reached ({why})\n")
        return 0
    for lock in LOCKS:
        argv = [sys.executable, "-m", "pip_audit", "-s", "osv", "--progress-spinner", "off"]
        argv += ["--no-deps", "--disable-pip"]  # the lock has all that is needed in turn
        try:
            ended = subprocess.run([*argv, "-r", str(ROOT / lock)], timeout=_SECONDS, check=False).returncode
        except subprocess.TimeoutExpired:
            sys.stdout.write(f"make audit: skipped, no answer about {lock} in {_SECONDS} s\n")
            return 0
        if ended:
            return 1
    return 0


def unreachable(database: str, seconds: float = _REACH_SECONDS) -> str:
    """Why the database cannot be asked; empty where it answers. A name may be looked up for minutes: not longer than
    `seconds` all the same."""
    found: list[str] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(database, timeout=seconds) as answer:  # noqa: S310 - https, or a test's
                answer.read(1)
            found.append("")
        except urllib.error.HTTPError:
            found.append("")  # it answers
        except OSError as exc:
            found.append(str(getattr(exc, "reason", exc)))

    asking = threading.Thread(target=ask, daemon=True)  # noqa: TID251 - no service runs here
    asking.start()
    asking.join(seconds)
    return found[0] if found else f"no answer in {seconds:g} s"


if __name__ == "__main__":
    raise SystemExit(main())
