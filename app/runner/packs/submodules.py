"""The repositories inside a pack's repository, each for itself: one that cannot be had costs not the others.

Whether a pack loads without one is for its import to say.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import List, Optional, Set

from app.protocol.deciding_line import deciding_line
from app.protocol.snapshot import Problem
from app.runner.hints import reasons, signatures
from app.runner.hints.uv_words import shortened
from app.runner.machine.git import Git
from app.runner.machine.room import TOO_LARGE
from app.runner.packs.checkout import update_submodules
from app.runner.packs.submodule_addresses import listed
from app.runner.process.children import Finished

_MOST_NAMED = 3
_DEEPEST = 4
_STAYS = frozenset({"disk_full", "disk_quota", "tmp_full", "read_only", "not_permitted", "out_of_memory"}) | TOO_LARGE
"""What is wrong with the machine is not the submodule's: the pack fails as any would."""
_AROUND = re.compile(r"submodule path '|Failed to (?:clone|recurse)|Could not read from remote|Retry scheduled")
"""Lines that follow from another one."""
_LOGIN = re.compile(r"^(https?://)[^/@\s]*@")
_HINT = "Ask the pack's author; a retry helps where the server did not answer. What the pack keeps in there is missing."
_NO_ADDRESS = "it has no address in .gitmodules"


class _Stays(Exception):
    """What is wrong with the machine, or with all of them."""


def what_is_missing(git: Git, checkout: Path, failed: Problem) -> Optional[Problem]:
    """After the update of all of them `failed`: gets those that can be had, one by one. What is missing, as a problem
    of a pack that is there without it; None where the pack cannot be used so. Raises OSError, RunCancelled."""
    if failed.code in _STAYS or not (checkout / ".gitmodules").is_file() or git.head(checkout) is None:
        return None
    missing: List[str] = []
    try:
        _get_each(git, checkout, "", missing, 0)
    except _Stays:
        return None
    if not missing:
        return None
    more = " and %d more" % (len(missing) - _MOST_NAMED) if len(missing) > _MOST_NAMED else ""
    text = "The pack is there without its submodule %s%s." % (", ".join(missing[:_MOST_NAMED]), more)
    return Problem("submodule_missing", text, _HINT)


def _get_each(git: Git, checkout: Path, within: str, missing: List[str], depth: int) -> bool:
    """Adds to `missing`; whether it is worthwhile to go on. Raises _Stays."""
    known = listed(git, checkout)
    without = sorted(_links(git, checkout) - {path for _, path, url in known if url})
    missing += ["%.120s (%s)" % (os.path.join(within, path), _NO_ADDRESS) for path in without]
    for _, path, url in known:
        if path in without:
            continue
        finished = update_submodules(git, checkout, path)
        if finished.ok:
            inner = checkout / path
            goes_on = not (inner / ".gitmodules").is_file() or depth >= _DEEPEST
            if goes_on or _get_each(git, inner, os.path.join(within, path), missing, depth + 1):
                continue
            return False
        if reasons.of_git(finished).code in _STAYS:
            raise _Stays
        address = " of %.200s" % re.sub(_LOGIN, r"\1", url)
        missing.append("%.120s%s (%s)" % (os.path.join(within, path), address, _words(finished)))
        if finished.stopped:
            return False  # the others would not move either
    return True


def _links(git: Git, checkout: Path) -> Set[str]:
    """The paths at which the commit has a submodule."""
    said = git.ask("ls-files", "-z", "--stage", cwd=checkout) or b""
    return {os.fsdecode(line.split(b"\t", 1)[1]) for line in said.split(b"\0") if line.startswith(b"160000 ")}


def _words(finished: Finished) -> str:
    """Ours, where the reason is known, and git's own: its first error, which the others follow from."""
    if finished.stopped:
        return "it made no progress"
    lines = [line for line in re.split(r"[\r\n]+", finished.output) if not _AROUND.search(line)]
    said = "\n".join(lines)
    first = re.search(r"^(?:fatal|error): (.*)$", said, re.MULTILINE)
    words = shortened(first.group(1) if first else deciding_line(said))[:200]
    known = signatures.find(said, "g")
    return "%s: %s" % (known[0].message.rstrip("."), words) if known else words
