"""The node packs of a played run: those of the real list of 34 first, then made-up ones in their style."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.protocol.manifest import NodePack

_LIST = Path(__file__).parents[1] / "custom_nodes.csv"
_SUBJECTS = (
    *("Anima", "Atlas", "Bokeh", "Canvas", "Cascade", "Chroma", "Depth", "Ember", "Facet", "Flux", "Grain", "Halo"),
    *("Iris", "Latent", "Layer", "Lumen", "Mask", "Mesh", "Motion", "Palette", "Pixel", "Prompt", "Quill", "Relight"),
    *("Sampler", "Sketch", "Tensor", "Tile", "Upscale", "Vector", "Video", "Wan", "Warp", "Zoom"),
)
_KINDS = ("Nodes", "Tools", "Kit", "Suite", "Wrapper", "Helpers", "Pack", "Lab", "Bridge", "Loader")
_OWNERS = ("kijai", "city96", "cubiq", "rgthree", "ltdrdata", "pythongosssss", "chflame163", "Fannovel16", "yolain")


@dataclass(frozen=True, slots=True)
class Played:
    """One pack: what it is cloned from, how many bytes that is, and whether it has requirements and an install.py."""

    pack: NodePack
    size: int
    has_requirements: bool
    has_script: bool

    @property
    def name(self) -> str:
        """The pack's name."""
        return self.pack.name

    @property
    def commit(self) -> str:
        """Its commit, always the same."""
        return f"{random.Random(self.name).getrandbits(160):040x}"


@cache
def real_list() -> tuple[NodePack, ...]:
    """The 34 packs of the default list."""
    with _LIST.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        NodePack(row["Name"], row["RepoUrl"], row["Subfolder"] or None, row["RequirementsFile"] or None) for row in rows
    )


def played(count: int) -> tuple[Played, ...]:
    """The first `count` packs."""
    return tuple(map(_played, (*real_list(), *_made(count - len(real_list())))[:count]))


def played_as(packs: tuple[NodePack, ...]) -> tuple[Played, ...]:
    """These packs."""
    return tuple(map(_played, packs))


def _made(count: int) -> list[NodePack]:
    dice, made = random.Random("packs"), dict[str, NodePack]()
    while len(made) < count:
        name = f"{dice.choice(('ComfyUI-', 'ComfyUI_', 'comfyui-'))}{dice.choice(_SUBJECTS)}{dice.choice(_KINDS)}"
        name = (
            f"{name}-{dice.randrange(2, 9)}" if name.lower() in made else name
        )  # folders may not differ in case alone
        file = "requirements.txt" if dice.random() < 0.6 else None
        made.setdefault(name.lower(), NodePack(name, f"https://github.com/{dice.choice(_OWNERS)}/{name}", None, file))
    return list(made.values())


def _played(pack: NodePack) -> Played:
    dice = random.Random(pack.name)
    size = round(60_000 * (1500 ** dice.random()))
    return Played(pack, size, pack.requirements_file is not None, dice.random() < 0.15)
