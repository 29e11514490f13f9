"""Manifests: read one without installing it, as pages do before a person picks from it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response

from app.domain.request import left_out_of, packs_of
from app.sync.capacity import Kind
from app.sync.http import bodies
from app.sync.http.check_bodies import CheckManifestBody, version_of
from app.sync.http.services import answer, body, body_file, query, services
from app.sync.workflow_lists import Checked, answers_in
from app.sync.workflow_needs import needs_json

manifests = Blueprint("manifests", __name__)


@manifests.get("/manifests/default")
def default_manifest() -> Response:
    """The recommended list by its names, as this service reads it; `problem` says why it is old or not there."""
    query(bodies.NoQuery)
    with services().capacity.place(Kind.INSTANCES):
        return answer(services().default_list.look())


@manifests.post("/manifests/default")
def default_manifest_through_an_instance() -> Response:
    """The same, read through an instance: for a service that does not reach the list itself."""
    asked = body(bodies.ScanBody)
    address = bodies.address_of(asked.ssh_connection)
    with services().capacity.place(Kind.INSTANCES):
        return answer(services().default_list.look_through(lambda url: services().checks.read_web(address, url)))


@manifests.post("/manifests/check")
def check_manifest() -> Response:
    """The node packs of a manifest, and the manifest as an install takes it; opens no connection.

    `nodes` is null for a list that lies in a repository: the runner reads it on the instance. `left_out`: what the list
    names and cannot be had."""
    asked = body(CheckManifestBody)
    given = asked.manifest or {}
    checked = services().workflow_lists.check(given, answers_in(given), version_of(asked))
    if checked is not None:
        return answer(_of_workflow(checked))
    manifest = bodies.manifest_of(asked.manifest, services().settings)
    packs = packs_of(manifest, services().settings.allowed_git_schemes)
    nodes = None if packs is None else [asdict(pack) for pack in packs]
    return answer({"success": True, "manifest": manifest, "nodes": nodes, "left_out": left_out_of(manifest)})


@manifests.post("/workflow-files")
def add_workflow_file() -> Response:
    """Keep the workflow that a file holds: JSON, or a picture, video or sound that ComfyUI saved. The body is the file
    itself; only its workflow is kept."""
    with services().capacity.place(Kind.FILES):
        file_id, found = services().workflow_lists.files.add(body_file())
    return answer({"success": True, "file_id": file_id, "kind": found.kind}, 201)


def _of_workflow(checked: Checked) -> dict[str, Any]:
    """A workflow as the list that it needs. `manifest` is null while a question is open: nothing can be installed."""
    nodes = checked.nodes()
    whole = nodes and not checked.answer.questions
    manifest = {"nodes": nodes, "needs": needs_json(checked.answer)} if whole else None
    packs = packs_of({"nodes": nodes}, services().settings.allowed_git_schemes) if nodes else []
    listed = [asdict(pack) for pack in packs or []]
    return {"success": True, "manifest": manifest, "nodes": listed, "left_out": [], "workflow": checked.to_json()}
