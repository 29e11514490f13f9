"""Each kind of image has one entry; what was seen on it stands here."""

from __future__ import annotations

import pytest

from app.runner.machine import profiles

SEEN = [
    ("vast.ai ComfyUI", "/workspace/ComfyUI", "/venv/main/bin/python", "/var/log/portal/comfyui.log", "comfyui"),
    (
        "ai-dock",
        "/opt/ComfyUI",
        "/opt/environments/python/comfyui/bin/python",
        "/var/log/supervisor/comfyui.log",
        "comfyui",
    ),
    ("RunPod comfyui-base", "/workspace/runpod-slim/ComfyUI", None, "/workspace/runpod-slim/comfyui.log", ""),
    ("RunPod, other templates", "/workspace/ComfyUI", None, "/workspace/logs/comfyui.log", ""),
    ("RunPod worker", "/comfyui", "/opt/venv/bin/python", None, ""),
    ("RunPod better-comfyui slim", "/workspace/madapps/ComfyUI", None, None, ""),
    ("mmartial ComfyUI-Nvidia-Docker", "/comfy/mnt/ComfyUI", "/comfy/mnt/venv/bin/python", None, ""),
    ("SwarmUI", "/workspace/SwarmUI/dlbackend/ComfyUI", None, None, ""),
    ("comfy-cli", "/root/comfy/ComfyUI", None, None, ""),
]


@pytest.mark.parametrize(("name", "home", "interpreter", "log", "program"), SEEN)
def test_an_entry_says_where_things_are(
    name: str, home: str, interpreter: str | None, log: str | None, program: str
) -> None:
    """And the searches go through it."""
    (profile,) = [profile for profile in profiles.PROFILES if profile.name == name]
    assert home in profile.homes
    assert home in profiles.homes()
    assert interpreter is None or interpreter in profiles.interpreters()
    assert log is None or log in profiles.logs()
    assert profile.program == program


def test_a_place_has_its_images_programs() -> None:
    """Whatever else is in supervisord there."""
    assert profiles.programs("/workspace/ComfyUI") == ["comfyui"]
    assert profiles.programs("/opt/ComfyUI") == ["comfyui"]
    assert profiles.programs("/comfyui") == profiles.programs("/elsewhere") == []


def test_the_usual_place_comes_first() -> None:
    """An instance with several ComfyUIs is most often a vast.ai one."""
    assert profiles.homes()[0] == "/workspace/ComfyUI"
    assert len(profiles.homes()) == len(set(profiles.homes()))
