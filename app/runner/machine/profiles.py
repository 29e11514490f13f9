"""The profiles of images: where ComfyUI, its interpreter, its log and its restart are. One entry a kind of image.

A new kind of image is one more entry (and a line in test/verify/test_profiles.py with what was seen on it); the
probe, the search for the interpreter and the restart read nothing else. Globs are allowed in places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple


@dataclass(frozen=True)
class Profile:
    """A kind of image. `homes`, `interpreters` and `logs` are absolute, the likeliest first; `program` is ComfyUI's
    name under supervisord, empty where nothing restarts it."""

    name: str
    homes: Tuple[str, ...] = ()
    interpreters: Tuple[str, ...] = ()
    logs: Tuple[str, ...] = ()
    program: str = ""


PROFILES: Tuple[Profile, ...] = (
    Profile(
        "vast.ai ComfyUI",
        homes=("/workspace/ComfyUI",),
        interpreters=("/venv/main/bin/python",),
        logs=("/var/log/portal/comfyui.log", "/var/log/comfyui.log"),
        program="comfyui",
    ),
    Profile(
        "ai-dock",
        homes=("/opt/ComfyUI",),
        interpreters=("/opt/environments/python/comfyui/bin/python",),
        logs=("/var/log/supervisor/comfyui.log",),
        program="comfyui",
    ),
    Profile(
        "RunPod comfyui-base",
        homes=("/workspace/runpod-slim/ComfyUI",),
        logs=("/workspace/runpod-slim/comfyui.log",),
    ),
    Profile("RunPod, other templates", homes=("/workspace/ComfyUI",), logs=("/workspace/logs/comfyui.log",)),
    Profile("RunPod better-comfyui slim", homes=("/workspace/madapps/ComfyUI",)),
    Profile("RunPod worker", homes=("/comfyui",), interpreters=("/opt/venv/bin/python",)),
    Profile(
        "mmartial ComfyUI-Nvidia-Docker", homes=("/comfy/mnt/ComfyUI",), interpreters=("/comfy/mnt/venv/bin/python",)
    ),
    Profile("SwarmUI", homes=("/workspace/SwarmUI/dlbackend/ComfyUI", "/root/SwarmUI/dlbackend/ComfyUI")),
    Profile("comfy-cli", homes=("/root/comfy/ComfyUI", "/home/*/comfy/ComfyUI")),
    Profile(
        "StabilityMatrix",
        homes=(
            "/home/*/StabilityMatrix/Data/Packages/ComfyUI",
            "/home/*/.local/share/StabilityMatrix/Packages/ComfyUI",
        ),
    ),
    Profile("Pinokio", homes=("/home/*/pinokio/api/comfy*/app", "/root/pinokio/api/comfy*/app")),
    Profile(
        "by hand",
        homes=(
            "/ComfyUI",
            "/root/ComfyUI",
            "/home/*/ComfyUI",
            "/app/ComfyUI",
            "/data/ComfyUI",
            "/notebooks/ComfyUI",
            "/content/ComfyUI",
        ),
        interpreters=(
            "/opt/conda/envs/comfy*/bin/python",
            "/opt/miniconda3/envs/comfy*/bin/python",
            "/root/miniconda3/envs/comfy*/bin/python",
            "/opt/conda/bin/python",
            "/opt/miniconda3/bin/python",
        ),
    ),
)


def homes() -> List[str]:
    """Where ComfyUI may be, the likeliest first, each once."""
    return _each_once([home for profile in PROFILES for home in profile.homes])


def interpreters() -> List[str]:
    """Where ComfyUI's interpreter may be when it is not beside ComfyUI."""
    return _each_once([path for profile in PROFILES for path in profile.interpreters])


def interpreters_of(home: str) -> List[str]:
    """Where images that have ComfyUI in this place have its interpreter."""
    return _each_once([path for profile in PROFILES if home in profile.homes for path in profile.interpreters])


def logs() -> List[str]:
    """Where ComfyUI's output may be kept."""
    return _each_once([path for profile in PROFILES for path in profile.logs])


def programs(home: str) -> List[str]:
    """The names that ComfyUI has under supervisord in images that have it in this place."""
    return _each_once([profile.program for profile in PROFILES if profile.program and home in profile.homes])


def _each_once(values: List[str]) -> List[str]:
    return list(dict.fromkeys(values))
