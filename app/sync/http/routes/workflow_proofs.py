"""Whether workflows are ready on a machine as it is: asked of the ComfyUI that runs there, without any run."""

from __future__ import annotations

from flask import Blueprint, Response

from app.domain.errors import InvalidManifest
from app.domain.request import check_remote_path
from app.sync.capacity import Kind
from app.sync.comfyui_proof import Place
from app.sync.http import bodies
from app.sync.http.check_bodies import ProofBody
from app.sync.http.services import answer, body, services

workflow_proofs = Blueprint("workflow_proofs", __name__)


@workflow_proofs.post("/workflow-proofs")
def prove_here() -> Response:
    """Ask the ComfyUI that runs on an instance whether workflows are ready to run there. Nothing is restarted or
    installed; `save` puts them into ComfyUI's own list."""
    asked = body(ProofBody)
    place = Place(
        bodies.address_of(asked.ssh_connection),
        asked.ui_home and check_remote_path(asked.ui_home, "ui_home"),
        asked.venv_path and check_remote_path(asked.venv_path, "venv_path"),
        bodies.fingerprint_of(asked.host_key_sha256, "host_key_sha256"),
        asks_first=asked.first_contact == "ask",
    )
    workflows = services().workflow_lists.sent(asked.manifest)
    if not workflows:
        raise InvalidManifest(
            "There is no workflow in this manifest: it has workflow, workflow_file or template.", field="manifest"
        )
    with services().capacity.place(Kind.INSTANCES):
        found = services().proofs.check(place, workflows, saves=asked.save, seconds=asked.timeout_seconds)
    return answer({"success": True, "proof": found})
