"""The body of a check of a manifest."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.protocol.versions import version_key
from app.sync.http.bodies import JsonBody
from app.sync.http.body_types import Manifest


class CheckManifestBody(JsonBody):
    """POST /manifests/check. `comfyui_version`: the instance's, as `POST /ssh/test` has said it, so that a workflow is
    held against it."""

    manifest: Manifest | None = None
    comfyui_version: Annotated[str, Field(max_length=100)] | None = None


def version_of(body: CheckManifestBody) -> str | None:
    """The version of ComfyUI in a request. Raises InvalidRequest for what is none."""
    if body.comfyui_version is not None and not version_key(body.comfyui_version):
        raise InvalidRequest("comfyui_version is no version, such as 0.33.0.", field="comfyui_version")
    return body.comfyui_version
