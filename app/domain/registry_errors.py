"""Why a pack of ComfyUI's registry cannot be installed; the codes are those of the run's reasons."""

from __future__ import annotations

from app.domain.errors import InvalidManifest


class RegistryPackNotFound(InvalidManifest):
    """ComfyUI's registry has no pack of this id."""

    code = "registry_pack_not_found"


class RegistryVersionNotFound(InvalidManifest):
    """The pack has no such version in ComfyUI's registry."""

    code = "registry_version_not_found"


class RegistryVersionRefused(InvalidManifest):
    """ComfyUI's registry does not give this version away."""

    code = "registry_version_refused"
