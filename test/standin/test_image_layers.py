"""The stand-in plays a container's layers with the kernel's own overlay."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from app.standin.errors import StandInError
from app.standin.image_layers import image_layers


def test_what_the_image_brought_cannot_be_renamed_and_what_came_later_can(tmp_path: Path) -> None:
    """And what was written is gone afterwards, as with a container that is made anew."""
    folder = tmp_path / "ComfyUI"
    (folder / "brought").mkdir(parents=True)
    (folder / "brought" / "file").write_text("image")
    try:
        with image_layers(folder):
            (folder / "later").mkdir()
            os.rename(folder / "later", folder / "renamed")
            os.rename(folder / "brought" / "file", folder / "brought" / "renamed")
            with pytest.raises(OSError, match="cross-device") as raised:
                os.rename(folder / "brought", folder / "elsewhere")
            assert raised.value.errno == errno.EXDEV
    except StandInError as exc:  # an ordinary user: then it has to say who may
        assert "Only root" in exc.hint
    assert sorted(path.name for path in folder.rglob("*")) == ["brought", "file"]
    assert [path.name for path in tmp_path.iterdir()] == ["ComfyUI"]
