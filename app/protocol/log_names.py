"""The names of a run's logs, below the task's folder on the instance and in the service."""

from __future__ import annotations

import re

RUN_LOG = "run.log"
NODES_FOLDER = "nodes"
_NAME = re.compile(r"(?:nodes/)?[A-Za-z0-9._ -]{1,96}\.log")


def file_name(name: str) -> str:
    """A plain file name for a pack. Different packs get different names."""
    printable = re.sub(r"[^A-Za-z0-9._ -]", "_", name)[:80]
    if printable == name:
        return name
    import hashlib  # loads OpenSSL, which most calls of the runner need not

    return "%s-%s" % (printable, hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8])


def node_log(name: str) -> str:
    """The path of one node pack's log: a folder and a file."""
    return "%s/%s.log" % (NODES_FOLDER, file_name(name))


def is_log_name(name: object) -> bool:
    """Whether `name` may become a path: a plain file, in no folder or in the one for node packs."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None
