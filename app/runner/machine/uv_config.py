"""uv's own configuration files, of which only what says where packages are counts for the engine.

Everything else in them (`no-cache`, `offline`, `constraint-dependencies`, …) would change one of uv's calls and not
another. The kept settings are written into one file, which UV_CONFIG_FILE names: uv reads no other one then. Source of
the format: uv's "Settings", TOML.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Tuple

_MAX_BYTES = 256 * 1024
_KEPT = frozenset(
    {
        "index",
        "index-url",
        "extra-index-url",
        "find-links",
        "no-index",
        "index-strategy",
        "keyring-provider",
        "allow-insecure-host",
        "native-tls",
        "system-certs",
        "http-proxy",
        "https-proxy",
        "no-proxy",
        "prerelease",
        "exclude-newer",
        "concurrent-downloads",
        "concurrent-builds",
        "concurrent-installs",
        "pypi-mirror",
        "python-install-mirror",
    }
)
_TABLE = re.compile(r"^\[\[?\s*([A-Za-z0-9_.\"-]+)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^([A-Za-z0-9_-]+)\s*=")
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'")


class UvConfig(NamedTuple):
    """`text`: of one configuration file with what is kept; `keys`: the names of the settings in it; `dropped`: those
    that are left out."""

    text: str = ""
    keys: Tuple[str, ...] = ()
    dropped: Tuple[str, ...] = ()


def read(environ: Mapping[str, str]) -> UvConfig:
    """What the machine's own files say, as uv would find them for a program with these variables. A project's file
    (`pyproject.toml` in some folder above) is nobody's setting for ComfyUI."""
    if environ.get("UV_NO_CONFIG", "").lower() in ("1", "true", "yes", "on", "t", "y"):
        return UvConfig()
    given = environ.get("UV_CONFIG_FILE")
    home = environ.get("HOME") or os.path.expanduser("~")
    own = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    shared = [folder for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if folder]
    locations = [
        Path(own, "uv", "uv.toml"),
        *(Path(folder, "uv", "uv.toml") for folder in shared),
        Path("/etc/uv/uv.toml"),
    ]
    settings: Dict[Tuple[str, str], str] = {}
    tables: List[str] = []
    dropped: List[str] = []
    for place in [Path(given)] if given else locations:
        try:
            with open(str(place), "rb") as file:
                text = file.read(_MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        for table, key, lines in _statements(text):
            if table == "index":
                tables.append(lines)
            elif key in _KEPT and table in ("", "pip"):
                settings.setdefault((table, key), lines)
            else:
                dropped.append(key if table in ("", "pip") else table)
    top = [lines for (table, _), lines in settings.items() if not table]
    pip = [lines for (table, _), lines in settings.items() if table]
    text = "\n".join([*top, *(["[pip]", *pip] if pip else []), *tables, ""])
    keys = {key for _, key in settings} | ({"index"} if tables else set())
    return UvConfig(text if keys else "", tuple(sorted(keys)), tuple(sorted(set(dropped))))


def _statements(text: str) -> List[Tuple[str, str, str]]:
    """Each setting's table, name and lines; of an `[[index]]` all lines together."""
    found: List[Tuple[str, str, str]] = []
    table, block = "", ""
    pending: List[str] = []
    lists = tables = 0  # that are open
    for raw in text.splitlines():
        line = raw.strip()
        header = _TABLE.match(line) if not pending else None
        if header:
            if block:
                found.append(("index", "index", block))
            table = header.group(1)
            block = line if table == "index" else ""
            continue
        if block:
            block += "\n" + line
            continue
        key = _KEY.match(line)
        if not pending and key is None:
            continue
        pending.append(line)
        bare = re.sub(_STRING, "", line).split("#")[0]
        lists, tables = lists + bare.count("[") - bare.count("]"), tables + bare.count("{") - bare.count("}")
        if lists <= 0 and tables <= 0:
            name = _KEY.match(pending[0])
            assert name is not None  # a statement begins with its name
            found.append((table, name.group(1), "\n".join(pending)))
            pending, lists, tables = [], 0, 0
    if block:
        found.append(("index", "index", block))
    return found
