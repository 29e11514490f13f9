"""Machines whose ComfyUI came with a container's image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.standin.errors import StandInError
from app.standin.image_layers import image_layers, small_disk
from test.runner.rig import Rig
from test.support.refused import lock
from test.support.wrapped_runner import layered_runner, locked_runner, mounted_runner


@contextmanager
def of_the_image(rig: Rig) -> Iterator[None]:
    """All that is in the machine's ComfyUI now is a lower layer: a real overlay file system. Where this machine does
    not let us mount one, the runner is refused the same renames, and the test's output says so."""
    with ExitStack() as held:
        try:
            held.enter_context(image_layers(rig.ui_home))
        except StandInError as exc:
            print(f"NOT A REAL OVERLAY, its renames are refused in the runner: {exc.message}")
            held.enter_context(refused_renames(rig))
        yield


@contextmanager
def refused_renames(rig: Rig) -> Iterator[None]:
    """As `of_the_image`, without a mount."""
    pyz = rig.pyz
    rig.pyz = layered_runner(pyz, rig.home, rig.ui_home)
    try:
        yield
    finally:
        rig.pyz = pyz


@contextmanager
def mounted(rig: Rig, folder: Path) -> Iterator[None]:
    """A small volume of its own is mounted at `folder`. Where this machine does not let us, the runner is told so."""
    pyz = rig.pyz
    with ExitStack() as held:
        try:
            held.enter_context(small_disk(folder, megabytes=4, files=1000))
        except StandInError as exc:
            print(f"NOT A REAL VOLUME, the runner reads of one: {exc.message}")
            rig.pyz = mounted_runner(pyz, rig.home, folder)
        yield
    rig.pyz = pyz


@contextmanager
def locked(rig: Rig, path: Path) -> Iterator[None]:
    """The file cannot be removed, wherever it is moved to. Where nobody may lock one, the runner is refused it."""
    pyz = rig.pyz
    if not lock(path, "+i"):
        print(f"NO FILE CAN BE LOCKED HERE, its removal is refused in the runner: {path}")
        rig.pyz = locked_runner(pyz, rig.home, path)
    yield
    rig.pyz = pyz
    for found in rig.custom_nodes.rglob(path.name):
        lock(found, "-i")
