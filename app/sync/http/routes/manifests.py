"""Manifests: read one without installing it, as pages do before a person picks from it."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response

from app.domain.request import left_out_of, packs_of
from app.sync.http import bodies
from app.sync.http.services import answer, body, services

manifests = Blueprint("manifests", __name__)


@manifests.post("/manifests/check")
def check_manifest() -> Response:
    """The node packs of a manifest, and the manifest as an install takes it; opens no connection.

    `nodes` is null for a list that lies in a repository: the runner reads it on the instance. `left_out`: what the list
    names and cannot be had."""
    asked = body(bodies.ManifestBody)
    manifest = bodies.manifest_of(asked.manifest, services().settings)
    packs = packs_of(manifest, services().settings.allowed_git_schemes)
    nodes = None if packs is None else [asdict(pack) for pack in packs]
    return answer({"success": True, "manifest": manifest, "nodes": nodes, "left_out": left_out_of(manifest)})
