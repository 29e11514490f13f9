"""Machines whose ComfyUI came with a container's image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.standin.errors import StandInError
from app.standin.image_layers import image_layers
from test.runner.rig import Rig
from test.support.wrapped_runner import layered_runner


@contextmanager
def of_the_image(rig: Rig) -> Iterator[None]:
    """All that is in the machine's ComfyUI now is a lower layer: a real overlay file system. Where this machine does
    not let us mount one, the runner is refused the same renames, and the test's output says so."""
    try:
        layers = image_layers(rig.ui_home)
        layers.__enter__()
    except StandInError as exc:
        print(f"NOT A REAL OVERLAY, its renames are refused in the runner: {exc.message}")
        with refused_renames(rig):
            yield
        return
    try:
        yield
    finally:
        layers.__exit__(None, None, None)


@contextmanager
def refused_renames(rig: Rig) -> Iterator[None]:
    """As `of_the_image`, without a mount."""
    pyz = rig.pyz
    rig.pyz = layered_runner(pyz, rig.home, rig.ui_home)
    try:
        yield
    finally:
        rig.pyz = pyz
