"""Whether workflows are ready on a machine as it is: `install --check-only`, and a workflow that needs no node pack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from app.cli.api.client import Api
from app.cli.errors import CliError
from app.cli.output import EXIT_FAILED, EXIT_PARTIAL, put, put_error
from app.cli.view.proof import show_proof
from app.protocol.terminal_text import one_line
from app.words import word

EXIT_NOT_KNOWN = EXIT_PARTIAL
_STATUS = {"ready": 0, "not_ready": EXIT_FAILED}
_CODES = {EXIT_FAILED: "workflow_not_ready", EXIT_NOT_KNOWN: "workflow_not_checked"}


class NotAsked(CliError):
    """Nobody could ask that ComfyUI."""

    exit_code = EXIT_NOT_KNOWN


def check_machine(
    api: Api, body: Mapping[str, Any], console: Console, *, saves: bool = False, as_json: bool = False
) -> int:
    """Has the ComfyUI that runs there asked, and prints what it says. The exit status: 0 ready, 1 not ready, 3 not
    known. `body`: of an install of the same workflow. Raises NotAsked."""
    options = body.get("options") or {}
    kept = {name: body[name] for name in ("ssh_connection", "ui_home", "venv_path", "manifest") if body.get(name)}
    kept |= {name: options[name] for name in ("host_key_sha256", "first_contact") if options.get(name)}
    console.print(word("proof.checking"), markup=False, highlight=False)
    try:
        proof = api.prove_here({**kept, "save": saves})
    except CliError as error:
        raise NotAsked(error.message, hint=error.hint, field=error.field, code=error.code) from error
    status = _STATUS.get(str(proof["verdict"]), EXIT_NOT_KNOWN)
    put({"proof": proof}, said=one_line(proof["sentence"]))
    if status:
        put_error(_CODES[status], one_line(proof["sentence"]))
    if not as_json:
        show_proof(console, proof)
    return status
