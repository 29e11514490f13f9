"""The credentials that this machine is set up with. They are read for one purpose: to be masked wherever they turn up.

git, pip, uv and the hubs of models read these places by themselves. What they print of them (an address that git has
rewritten, an index with its login, a header) is then known by its value.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Mapping

from app.protocol import redaction
from app.runner.machine.pip_settings import files_of_pip
from app.runner.process.execute import execute

_MOST_BYTES = 256 * 1024
_GIT_SECONDS = 5.0
_IN_HOME = (
    ".git-credentials",
    ".config/git/credentials",
    ".pypirc",
    ".config/uv/uv.toml",
    ".local/share/uv/credentials/credentials.toml",
    ".config/comfy-cli/config.ini",
    ".config/gh/hosts.yml",
    ".config/pypoetry/auth.toml",
)
_TOKEN_FILES = (".cache/huggingface/token", ".huggingface/token")
"""Files that hold a token and nothing else."""
_NETRC_ENTRY = re.compile(r"\blogin\s+(?P<user>\S+)\s+(?:account\s+\S+\s+)?password\s+(?P<password>\S+)")
_PROXY = re.compile(r"(?i)proxy\s*[=\n]\s*(?P<login>[^\s/@:]+:[^\s@]+)@")


def register_all(environ: Mapping[str, str]) -> None:
    """All that are found for a program with these variables; what cannot be read is left out."""
    redaction.register_variables(environ)
    for name, value in environ.items():
        _register_proxies("%s=%s" % (name, value))
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    files = [*(home / name for name in _IN_HOME), Path("/etc/uv/uv.toml"), *files_of_pip("", environ)]
    files += [Path(environ[name]) for name in ("UV_CONFIG_FILE", "PIP_CONFIG_FILE") if environ.get(name)]
    for file in dict.fromkeys(files):
        redaction.register_text(_text(file))
    _register_netrc(_text(Path(environ.get("NETRC") or home / ".netrc")))
    hub = Path(environ.get("HF_HOME") or home / ".cache" / "huggingface") / "token"
    tokens = [*(home / name for name in _TOKEN_FILES), hub, Path(environ.get("HF_TOKEN_PATH") or hub)]
    for file in dict.fromkeys(tokens):
        redaction.register(_text(file).strip())
    _register_git()


def _text(file: Path) -> str:
    try:
        if not file.is_file():
            return ""
        with open(str(file), "rb") as opened:
            return opened.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _register_netrc(text: str) -> None:
    for entry in _NETRC_ENTRY.finditer(text):
        redaction.register(entry["password"], entry["user"])


def _register_proxies(text: str) -> None:
    """A proxy's address may lack its scheme."""
    for found in _PROXY.finditer(text):
        user, _, password = found["login"].rpartition("//")[2].partition(":")
        redaction.register(password, user)


def _register_git() -> None:
    """git itself reads its configuration, files that others include too."""
    argv: List[str] = ["git", "config", "--list", "--null"]
    try:
        said = execute(argv, _GIT_SECONDS).replace("\0", "\n\n")
    except OSError:
        return
    redaction.register_text(said)
    _register_proxies(said)
