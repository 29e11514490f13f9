"""What the real ssh(1) reads from a command line, without connecting."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from app.domain.address import SshAddress

REAL_HOME = Path(pwd.getpwuid(os.geteuid()).pw_dir)
"""What ssh takes for `~`: it does not go by HOME."""

_NO_USER, _NO_PORT = "no-user-was-given", 64_999
_DEFAULTS = f"User {_NO_USER}\nPort {_NO_PORT}\nIdentityFile none\n"
"""What counts only where the words do not say it."""
_MISSING_FILE = re.compile(r"^Warning: Identity file (.*) not accessible: ", re.MULTILINE)


def what_ssh_reads(words: Sequence[str]) -> SshAddress | None:
    """The address in the words behind `ssh`, as `ssh -G` prints it; None where ssh does not take them.

    Never for words that were refused: nothing of them may run."""
    done = subprocess.run(
        ["ssh", "-F", "/dev/stdin", "-G", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        input=_DEFAULTS,
    )
    if done.returncode != 0:
        return None
    said: dict[str, list[str]] = {"identityfile": _MISSING_FILE.findall(done.stderr)}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        if value != "none":
            said.setdefault(keyword, []).append(value)
    user, port = said["user"][0], int(said["port"][0])
    return SshAddress(
        said["hostname"][0],
        None if port == _NO_PORT else port,
        None if user == _NO_USER else user,
        tuple(dict.fromkeys(said["identityfile"])),
        re.sub(r"\[([^\[\]:]+)\]", r"\1", said["proxyjump"][0]) if "proxyjump" in said else None,
    )
