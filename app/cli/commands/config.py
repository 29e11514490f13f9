"""`config`: what the service would run with."""

from __future__ import annotations

import json
from typing import Any

import click

from app import machine_size
from app.cli.view.say import reply
from app.settings import ENV_PREFIX, Loaded

_DEFAULT = "default"


@click.group()
def config() -> None:
    """The settings."""


@config.command("show")
def show() -> None:
    """Every setting with its value and where that comes from, as lines for nodeferry.toml; secrets are left out."""
    loaded = Loaded.read()
    values = loaded.settings.public()
    settings = [
        {
            "name": name,
            "variable": ENV_PREFIX + name.upper(),
            "value": list(value) if isinstance(value, tuple) else value,
            "origin": loaded.origins.get(name, _DEFAULT),
        }
        for name, value in values.items()
    ]
    is_there = loaded.file.exists()
    head = f"# The file is {loaded.file}{'' if is_there else ', which is not there'}."
    lines = [head, *(f"# {name} is no setting." for name in loaded.unknown), *map(_line, settings)]
    file = {"path": str(loaded.file), "is_there": is_there}
    reply({"file": file, "settings": settings, "unknown": list(loaded.unknown)}, "\n".join(lines))


def _line(setting: dict[str, Any]) -> str:
    """A line of TOML; one that is no default says where it comes from, and one that was found out, from what."""
    text = f"{setting['name']} = {json.dumps(setting['value'])}"
    if setting["origin"] == _DEFAULT:
        return f"{text}  # {machine_size.described()}" if setting["name"] == "max_running" else text
    return f"{text}  # {setting['origin']}"
