"""Why a pack is failed, or is good with a problem, by what ComfyUI printed when it imported it."""

from __future__ import annotations

import os
import re
from typing import Optional, Tuple

from app.protocol.snapshot import Problem
from app.runner.comfyui.output import Import
from app.runner.context import Context, PackResult
from app.runner.hints import other_packs, signatures
from app.runner.hints.reasons import of_import
from app.runner.hints.uv_words import shortened
from app.runner.verify import busy_ports, own_downgrades

_PRESTARTUP = "The pack's prestartup_script.py fails at ComfyUI's start. (%s)"
_PRESTARTUP_HINT = (
    "ComfyUI loads the pack all the same; what the script was to prepare is missing. Look at imports.log."
)

_OF_MISSING_CODE = frozenset({"import_failed", "module_missing", "module_of_other_pack", "import_no_nodes"})
_OF_NOTES = re.compile(r"git-lfs|invalid load key, 'v'|HeaderTooLarge|UnpicklingError|[Nn]ot a zip|SafetensorError")
"""What libraries say of a pointer in place of a model."""


def of_failed(context: Context, result: PackResult, imported: Import) -> Tuple[Problem, bool]:
    """Why it could not be imported, and whether it may be good all the same."""
    if imported.no_nodes:
        hint = "Check that the repository is a node pack, and that it is in the right folder under custom_nodes."
        return Problem("import_no_nodes", imported.message, hint), False
    text = imported.text or imported.message
    port = busy_ports.of_import(context, result.folder, text)
    if port:
        return port
    problem = of_import(text)
    if problem.code == "module_missing":
        other = other_packs.of_missing_module(text, context.custom_nodes, result.pack.folder.partition("/")[0])
        problem = other or problem
    problem = own_downgrades.named(context, problem, text)
    before = of_prestartup(imported)
    if before:
        problem = Problem(problem.code, "%s %s" % (problem.message, before.message), problem.hint)
    return problem, False


def of_prestartup(imported: Optional[Import]) -> Optional[Problem]:
    """The problem of one whose prestartup_script.py failed; None for others."""
    if imported is None or not imported.prestartup:
        return None
    known = signatures.find(imported.prestartup, "i")
    hint = "%s %s" % (known[0].hint, _PRESTARTUP_HINT) if known else _PRESTARTUP_HINT
    return Problem("prestartup_failed", _PRESTARTUP % shortened(imported.prestartup), hint)


def is_of_what_is_missing(result: PackResult, problem: Problem) -> bool:
    """Whether an import's problem comes of what is not there of the pack: code that is only a note, or a file that an
    error names; of a submodule, a module or a file that is not found."""
    if not result.pointers:
        return problem.code in _OF_MISSING_CODE
    names = [os.path.basename(path) for path in result.pointers]
    is_code = any(name.endswith(".py") for name in names)
    return is_code or any(name in problem.message for name in names) or bool(_OF_NOTES.search(problem.message))
