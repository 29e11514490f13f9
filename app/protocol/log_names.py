"""What the logs of a run are called: below the task's folder on the instance, and below its folder in the service."""

from __future__ import annotations

import hashlib
import re

RUN_LOG = "run.log"
NODES_FOLDER = "nodes"
_NAME = re.compile(r"(?:nodes/)?[A-Za-z0-9._ -]{1,96}\.log")


def file_name(name: str) -> str:
    """A pack's name as a plain file's. Names that differ give files that differ."""
    printable = re.sub(r"[^A-Za-z0-9._ -]", "_", name)[:80]
    return (
        printable
        if printable == name
        else "%s-%s" % (printable, hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8])
    )


def node_log(name: str) -> str:
    """The log of one node pack, whatever its name: a path of two parts."""
    return "%s/%s.log" % (NODES_FOLDER, file_name(name))


def is_log_name(name: object) -> bool:
    """Whether it may become a path: at most one known folder, and a plain file in it."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None
