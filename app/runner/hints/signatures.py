"""The table of error signatures: what programs print when they fail, the reason code of it, and what to do.

An entry and a sample in test/hints/samples.txt are a complete contribution. The first entry whose pattern is found
wins, so what is special stands above what is general. A named group of the pattern may stand in message and hint as
`{name}`. `of` says whose words they are: g git, p uv and pip (with the build back-ends below them), s a pack's
install.py, i ComfyUI's import of a pack.
"""

from __future__ import annotations

import re
from typing import Optional, Sequence, Tuple

from app.protocol.snapshot import Problem
from app.runner.hints.signature import Signature
from app.runner.hints.signatures_network import MACHINE_GIT_AND_FETCHING
from app.runner.hints.signatures_python import BUILDING_SCRIPTS_AND_IMPORTS

SIGNATURES: Sequence[Signature] = (*MACHINE_GIT_AND_FETCHING, *BUILDING_SCRIPTS_AND_IMPORTS)


def find(text: str, of: str) -> Optional[Tuple[Problem, int]]:
    """The problem that the first signature of `of` (one letter) found in `text` names, and where in it; None when
    none is known."""
    for signature in SIGNATURES:
        found = re.search(signature.pattern, text) if of in signature.of else None
        if found:
            words = {name: value or "" for name, value in found.groupdict().items()}
            problem = Problem(signature.code, signature.message.format(**words), signature.hint.format(**words))
            return problem, found.start()
    return None
