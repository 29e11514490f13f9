"""`pyz`: the runner as one file, to be run by hand on an instance."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.view.say import say
from app.protocol.amounts import size
from app.remote.packer import pack_runner


@click.command()
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; named by its content without."
)
def pyz(output: Path | None) -> None:
    """Write the installer as one file that needs nothing but Python 3.9 or later: copy it to an instance, and there
    python3 FILE install --csv LIST --ui-home DIR."""
    packed = pack_runner()
    path = output or Path(packed.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed.content)
    say(f"{path} ({size(len(packed.content))}, sha256 {packed.sha256})")
