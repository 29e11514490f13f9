"""Manifests: read one without installing it, as pages do before a person picks from it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from flask import Blueprint, Response

from app.domain.address import SshAddress
from app.domain.errors import RemoteError
from app.domain.request import left_out_of, other_file_in, packs_of
from app.protocol.other_files.read import OtherFile
from app.protocol.progress_json import iso
from app.remote.web_text import Open
from app.sync import templates
from app.sync.capacity import Kind
from app.sync.http import bodies
from app.sync.http.check_bodies import CheckManifestBody, FileQuery, ForgetAnswersBody, TemplatesQuery, version_of
from app.sync.http.services import answer, body, body_file, query, services
from app.sync.workflow_lists import Checked, answers_in
from app.sync.workflow_needs import needs_json

manifests = Blueprint("manifests", __name__)
_T = TypeVar("_T")


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
    address = None if asked.ssh_connection is None else bodies.address_of(asked.ssh_connection)
    given = asked.manifest or {}
    read = partial(services().workflow_lists.check, given, answers_in(given), version_of(asked))
    checked = read(None)
    if checked is not None:
        if address and checked.unreached:
            checked = _with_web_of(address, read) or checked
        return answer(_of_workflow(checked))
    schemes = services().settings.allowed_git_schemes
    file = other_file_in(asked.manifest, schemes)
    if file is not None and file.manifest is None:  # models alone: told, and nothing to install
        told = {"success": True, "manifest": None, "nodes": [], "left_out": file.left_out, "registry": None}
        return answer({**told, "file": _of_file(file)})
    listed = file.manifest if file else asked.manifest
    resolved = services().registry_packs.resolved(listed)
    if address and resolved.unreached:
        resolved = _with_web_of(address, partial(services().registry_packs.resolved, listed)) or resolved
    manifest = bodies.manifest_of(resolved.manifest, services().settings)
    packs = packs_of(manifest, schemes)
    nodes = None if packs is None else [asdict(pack) for pack in packs]
    left_out = [*left_out_of(manifest), *resolved.refused()]
    found = {"success": True, "manifest": manifest, "nodes": nodes, "left_out": left_out}
    found["registry"] = resolved.to_json()
    return answer({**found, "file": _of_file(file)} if file else found)


def _with_web_of(address: SshAddress, read: Callable[[Open], _T]) -> _T | None:
    """What `read` finds by the network of an instance, where the service's own did not reach everything; None where the
    instance cannot be used."""
    with (
        suppress(RemoteError),
        services().capacity.place(Kind.INSTANCES),
        services().checks.web_through(address) as open_stream,
    ):
        return read(open_stream)
    return None


@manifests.get("/workflow-answers")
def remembered_answers() -> Response:
    """The answers to questions about node packs that are remembered, the oldest first."""
    query(bodies.NoQuery)
    found = [
        {"question_id": each.question_id, "answer": each.answer, "answered_at": iso(each.answered_at)}
        for each in services().workflow_lists.remembered.all()
    ]
    return answer({"success": True, "answers": found})


@manifests.delete("/workflow-answers")
def forget_answers() -> Response:
    """Forget one remembered answer, or all of them: the question is asked again."""
    asked = body(ForgetAnswersBody)
    return answer({"success": True, "forgotten": services().workflow_lists.remembered.forget(asked.question_id)})


@manifests.post("/workflow-files")
def add_workflow_file() -> Response:
    """Keep the workflow that a file holds: JSON, or a picture, video or sound that ComfyUI saved. The body is the file
    itself; only its workflow is kept."""
    name = query(FileQuery).name
    with services().capacity.place(Kind.FILES):
        file_id, found = services().workflow_lists.files.add(body_file(), name)
    return answer({"success": True, "file_id": file_id, "kind": found.kind}, 201)


def _of_file(file: OtherFile) -> dict[str, Any]:
    """What a file of another tool says besides its packs; a model as that of a workflow."""
    models = [{**each, "runs": True, "node_ids": [], "files": []} for each in file.models]
    return {"kind": file.kind, "models": models, "remarks": list(file.remarks), "problem": file.problem}


@manifests.get("/templates")
def official_templates() -> Response:
    """ComfyUI's official workflow templates, those first that are used most: what `{"template": NAME}` takes.
    `problem`: why there are none, where their package is not installed."""
    asked = query(TemplatesQuery)
    return answer({"success": True, **templates.page(asked.q or "", asked.category or "", asked.offset, asked.limit)})


def _of_workflow(checked: Checked) -> dict[str, Any]:
    """A workflow as the list that it needs. `manifest` is null while a question is open: nothing can be installed."""
    nodes = checked.nodes()
    settings, whole = services().settings, nodes and not checked.answer.questions
    manifest = {"nodes": nodes, "needs": needs_json(checked.answer)} if whole else None
    packs = packs_of(bodies.manifest_of({"nodes": nodes}, settings), settings.allowed_git_schemes) if nodes else []
    listed = [asdict(pack) for pack in packs or []]
    about = {"workflow": checked.to_json(), "registry": None}
    return {"success": True, "manifest": manifest, "nodes": listed, "left_out": [], **about}
