"""Our own script for a machine that comes up without the service: the runner's file and a lock in one text, as a script
by itself or in vast.ai's `provisioning.yaml`; and the lock read back from either."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import shlex
from typing import Any, List, Mapping, Optional

SCRIPT_PATH = "/opt/nodeferry/on-start.sh"
_MARK = "NODEFERRY_LOCK"
_COLUMNS = 76
_SCRIPT = """\
#!/bin/bash
# Installs {packs} exactly as a run of Nodeferry left them, without its service: the lock and the program that
# reads it are below. Python 3.9 or newer and git have to be there.
# Exit status: 0 all are installed, 3 some, 1 none. The log is setup.log in the folder below.
[ -n "$HOME" ] || export HOME=/root
folder="$HOME/.local/state/nodeferry/on-start"
mkdir -p "$folder" && chmod 700 "$folder" || exit 1
base64 -d > "$folder/lock.json" <<'NODEFERRY_LOCK' || exit 1
{lock}
NODEFERRY_LOCK
base64 -d > "$folder/nodeferry.pyz" <<'NODEFERRY_PYZ' || exit 1
{pyz}
NODEFERRY_PYZ
echo "{sha256}  $folder/nodeferry.pyz" | sha256sum -c --status - || {{ echo "This file is damaged." >&2; exit 1; }}
waited=0
while ls /workspace/.sync_*.lock > /dev/null 2>&1 && [ "$waited" -lt 900 ]; do sleep 5; waited=$((waited + 5)); done
ui_home={ui_home}
set -- --lock "$folder/lock.json" --no-wait-for-provisioning "$@"
if [ -n "$ui_home" ] && [ -d "$ui_home" ]; then set -- --ui-home "$ui_home" "$@"; fi
{{ python3 "$folder/nodeferry.pyz" install "$@" < /dev/null; echo $? > "$folder/status"; }} 2>&1 |
  tee -a "$folder/setup.log"
exit "$(cat "$folder/status")"
"""


def write_script(lock: Mapping[str, Any], pyz: bytes) -> str:
    """A script that installs a lock by itself. It has no variable in braces: vast.ai would fill those in."""
    count = len(lock["node_packs"])
    return _SCRIPT.format(
        packs="1 node pack" if count == 1 else "%d node packs" % count,
        lock=_wrapped(json.dumps(lock, ensure_ascii=True, sort_keys=True).encode("ascii")),
        pyz=_wrapped(pyz),
        sha256=hashlib.sha256(pyz).hexdigest(),
        ui_home=shlex.quote(str(lock.get("ui_home") or "")),
    )


def write_provisioning(lock: Mapping[str, Any], pyz: bytes) -> str:
    """The same script in a file for vast.ai's PROVISIONING_MANIFEST."""
    lines = write_script(lock, pyz).splitlines()
    head = [
        "# For vast.ai: put this file at an address, and start the machine with PROVISIONING_MANIFEST=that address.",
        "version: 1",
        "write_files:",
        "  - path: %s" % SCRIPT_PATH,
        '    permissions: "0755"',
        "    content: |",
    ]
    end = ["post_commands:", "  - bash %s" % SCRIPT_PATH]
    return "\n".join([*head, *("      " + line for line in lines), *end, ""])


def lock_in(text: str) -> Optional[str]:
    """The lock, as text, of a file that one of the two has written; None for every other."""
    start = text.find("\n", text.find("<<'%s'" % _MARK)) if "<<'%s'" % _MARK in text else -1
    end = text.find(_MARK, start)
    if start < 0 or end < 0:
        return None
    try:
        return base64.b64decode("".join(text[start:end].split()), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None


def _wrapped(content: bytes) -> str:
    text = base64.b64encode(content).decode("ascii")
    lines: List[str] = [text[at : at + _COLUMNS] for at in range(0, len(text), _COLUMNS)]
    return "\n".join(lines)
