"""The models of requests about lists of node packs that are only read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.sync.http.bodies import JsonBody
from app.sync.http.body_types import Manifest, SshConnection

MAX_QUESTION_CHARS = 500


class ManifestBody(JsonBody):
    """POST /manifests/check. `ssh_connection`: an instance whose network is used where the service's own does not reach
    the map of node packs or the registry."""

    manifest: Manifest | None = None
    ssh_connection: SshConnection | None = None


class ForgetAnswersBody(JsonBody):
    """DELETE /workflow-answers. `question_id`: the one that is forgotten; all of them without."""

    question_id: Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_CHARS)] | None = None
