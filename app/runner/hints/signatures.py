"""The table of error signatures: what programs print when they fail, the reason code, and what to do.

To add one, write an entry and a sample in test/hints/samples.txt; a new code goes into app/protocol/reasons.py too.
The first entry whose pattern matches wins, so special entries stand above general ones. Message and hint may contain a
named group of the pattern as `{name}`, and a hint `{install}`: the system packages that have what is missing. `of` says
whose output an entry is for: g git, p uv and pip (and the build back-ends that they run), s a pack's install.py, i
ComfyUI's import of a pack.
"""

from __future__ import annotations

import re
from typing import Optional, Sequence, Tuple

from app.protocol.snapshot import Problem
from app.runner.hints.signature import Signature
from app.runner.hints.signatures_network import MACHINE_GIT_AND_FETCHING
from app.runner.hints.signatures_python import BUILDING, SCRIPTS_AND_IMPORTS
from app.runner.hints.signatures_system import COMPILING, LIBRARIES_AND_PROGRAMS
from app.runner.hints.system_packages import advice

_MOST_CHARS = 500
"""Of a part of the text that is told."""
SIGNATURES: Sequence[Signature] = (
    *MACHINE_GIT_AND_FETCHING,
    *COMPILING,
    *BUILDING,
    *LIBRARIES_AND_PROGRAMS,
    *SCRIPTS_AND_IMPORTS,
)


def find(text: str, of: str) -> Optional[Tuple[Problem, int]]:
    """The problem of the first signature for `of` (one letter) that matches `text`, and where it matches; None when no
    signature matches."""
    for signature in SIGNATURES:
        found = re.search(signature.pattern, text) if of in signature.of else None
        if found:
            words = {name: (value or "")[:_MOST_CHARS] for name, value in found.groupdict().items()}
            if "{install}" in signature.hint:
                words["install"] = advice(text, words.get("header") or words.get("library") or "")
            problem = Problem(signature.code, signature.message.format(**words), signature.hint.format(**words))
            return problem, found.start()
    return None
