"""`config`: what the service would run with."""

from __future__ import annotations

import json

import click

from app.cli.view.say import say
from app.settings import settings_from


@click.group()
def config() -> None:
    """The settings."""


@config.command("show")
def show() -> None:
    """Every setting with its value, as lines for nodeferry.toml; secrets are left out."""
    for name, value in settings_from().public().items():
        say(f"{name} = {json.dumps(list(value) if isinstance(value, tuple) else value)}")
