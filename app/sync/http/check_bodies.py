"""The models of requests about lists of node packs that are only read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.protocol.versions import version_key
from app.sync.comfyui_proof import PROOF_SECONDS
from app.sync.http.bodies import MAX_FIELD_CHARS, JsonBody, Query
from app.sync.http.body_types import NEEDED, Manifest, RemotePath, SshConnection

MAX_QUESTION_CHARS = 500


class CheckManifestBody(JsonBody):
    """POST /manifests/check. `comfyui_version`: the instance's, as `POST /ssh/test` has said it, so that a workflow is
    held against it. `ssh_connection`: an instance whose network is used where the service's own does not reach the map
    of node packs or the registry."""

    manifest: Manifest | None = None
    ssh_connection: SshConnection | None = None
    comfyui_version: Annotated[str, Field(max_length=100)] | None = None


class ProofBody(JsonBody):
    """POST /workflow-proofs. `manifest`: one with `workflow`, `workflow_file` or `template`; `save`: whether it is put
    into ComfyUI's own list of workflows. `timeout_seconds` is the deadline of the whole check."""

    ssh_connection: Annotated[SshConnection, NEEDED] = None
    manifest: Annotated[Manifest, NEEDED] = Field(default_factory=dict)
    ui_home: RemotePath | None = None
    venv_path: RemotePath | None = None
    save: bool = False
    host_key_sha256: str | None = None
    first_contact: Literal["accept", "ask"] = "accept"
    timeout_seconds: Annotated[float, Field(ge=1, le=PROOF_SECONDS)] = PROOF_SECONDS


class ForgetAnswersBody(JsonBody):
    """DELETE /workflow-answers. `question_id`: the one that is forgotten; all of them without."""

    question_id: Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_CHARS)] | None = None


class TemplatesQuery(Query):
    """GET /templates. `q`: words, all of which are in what is said of a template; `category`: one of the answer's."""

    q: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)] | None = None
    category: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)] | None = None
    offset: Annotated[int, Field(ge=0, le=100_000)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class FileQuery(Query):
    """POST /workflow-files. `name`: of the file, as ComfyUI's list of workflows is to have it."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)] | None = None


def version_of(body: CheckManifestBody) -> str | None:
    """The version of ComfyUI in a request. Raises InvalidRequest for what is none."""
    if body.comfyui_version is not None and not version_key(body.comfyui_version):
        raise InvalidRequest("comfyui_version is no version, such as 0.33.0.", field="comfyui_version")
    return body.comfyui_version
