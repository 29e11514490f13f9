"""Packs that can be cloned, and the nine of the small form (`--quick`), whose packages come from the registry.

Names are the bench's own. Gigabyte packages (OpenCV, transformers, onnxruntime) are replaced by light ones, so that a
run takes a minute; what makes real files hard is kept: overlaps, pins, torch lines, packages without a wheel, two packs
that want what is installed changed, and one pair that cannot both be had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.standin.git_server import GitServer
from app.standin.packs import Pack, PackSource, make_pack

_KB, _MB = 1_000, 1_000_000
_OPENCV = "opencv-python-headless"


@dataclass(frozen=True, slots=True)
class PackSpec:
    """A pack to make: its size in bytes, its requirement lines (None: no file). `stage` 1 agrees with what is installed
    and needs no build, 2 wants something of it changed, 3 needs a package without a wheel."""

    name: str
    size: int
    requirements: tuple[str, ...] | None = None
    stage: int = 1
    impossible: tuple[str, ...] = ()
    """Its lines with which no resolution of all files together exists."""
    install_py: str | None = None
    """Its script."""
    slow_build: bool = False
    """It needs the package whose build takes minutes."""


def _wants(name: str, size: int, *lines: str) -> PackSpec:
    return PackSpec(name, size, lines)


QUICK = (
    _wants("bench-toolbox", 1_842 * _KB, "GitPython", "rich", "typer", "toml==0.10.2", "chardet", "transformers"),
    _wants("bench-colour", 1_123 * _KB, "pillow>=10.3.0", "matplotlib", "mss", _OPENCV),
    _wants("bench-frames", 5 * _MB, "torch", "numpy", "einops", "Pillow", "torchvision", "tqdm"),
    _wants("bench-saver", 500 * _KB, "piexif==1.1.3"),
    PackSpec("bench-detail", 200 * _KB, ("# curves", "matplotlib", "docopt"), stage=3),
    _wants("bench-text", 50 * _KB, "ftfy", "lark", "pyyaml>=6"),
    PackSpec("bench-old-numpy", 400 * _KB, ("piexif", "numpy<2", "dill"), stage=2, impossible=("numpy<2",)),
    _wants("bench-kernels", 1_639 * _KB, "color-matcher", "matplotlib", "numpy>=2", "scikit-image", _OPENCV),
    PackSpec("bench-widgets", 98 * _KB),
)


_CONTROL = (
    *("torch", "importlib_metadata", "huggingface_hub", "scipy", "filelock", "numpy", "Pillow", "torchvision"),
    *("pyyaml", "python-dateutil", "fvcore", "yapf", "omegaconf", "ftfy", "addict", "yacs", "trimesh"),
    *("scikit-image", _OPENCV),
)
MANY = (
    *QUICK,
    _wants("bench-hub", 900 * _KB, "huggingface-hub>0.20", "PyGithub", "toml", "rich>=13"),
    _wants("bench-subpack", 39 * _KB, "matplotlib", "numpy", "dill"),
    PackSpec("bench-scripts", 173 * _KB),
    _wants("bench-video", 5_485 * _KB, "ftfy", "accelerate>=1.2.1", "diffusers", "sentencepiece>=0.2.0", "protobuf"),
    _wants("bench-helpers", 116 * _KB, _OPENCV, "imageio-ffmpeg"),
    _wants("bench-interpolation", 13_130 * _KB, "torch", "numpy", "einops", "kornia>=0.7.1", "scipy", "Pillow", "tqdm"),
    PackSpec("bench-menus", 3_800 * _KB, ("# nothing",)),
    _wants("bench-easy", 6_171 * _KB, "accelerate", "lark", "sentencepiece", "spandrel", "matplotlib", "peft"),
    PackSpec("bench-lora", 20 * _KB),
    _wants(
        "bench-suite",
        16_172 * _KB,
        "gitpython",
        "imageio",
        "joblib",
        "matplotlib",
        "numba",
        "numpy",
        "pilgram",
        "scipy",
    ),
    _wants("bench-captions", 50 * _KB, "matplotlib", "timm", "pillow>=10.2.0", "accelerate>=0.26.0"),
    PackSpec("bench-devices", 17_560 * _KB),
    PackSpec("bench-ends", 216 * _KB),
    PackSpec("bench-control", 32_741 * _KB, _CONTROL, stage=3),
    _wants("bench-flux", 300 * _KB, "GitPython", "einops", "accelerate", "omegaconf"),
    _wants("bench-nodes", 2_800 * _KB, "piexif"),
    _wants("bench-monitor", 1_900 * _KB, "deepdiff", "torch", "py-cpuinfo", "piexif"),
    _wants("bench-quants", 60 * _KB, "gguf>=0.13.0", "sentencepiece", "protobuf"),
    _wants("bench-layers", 60 * _MB, "blend-modes", "loguru", "colorama", "matplotlib", "numpy", "addict"),
    PackSpec("bench-films", 180 * _MB),
    _wants("bench-inspire", 700 * _KB, "matplotlib", "cachetools", "webcolors"),
    _wants("bench-caches", 80 * _KB, "einops>=0.6", "numpy"),
    _wants("bench-chat", 120 * _KB, "aiohttp>=3.9", "jsonschema", "requests"),
    PackSpec("bench-pinned", 250 * _KB, ("tqdm==4.66.5", "networkx"), stage=2),
    PackSpec("bench-swap", 25 * _KB),
)
"""34 packs of which `bench.eta` has a recording."""


@dataclass(frozen=True, slots=True)
class Made:
    """A pack that can be cloned."""

    wanted: PackSpec
    pack: Pack

    @property
    def name(self) -> str:
        """Its name, and its folder's."""
        return self.wanted.name


def make_packs(server: GitServer, specs: Sequence[PackSpec]) -> list[Made]:
    """Make the repositories."""
    return [_make(server, spec) for spec in specs]


def _make(server: GitServer, spec: PackSpec) -> Made:
    text = None if spec.requirements is None else "\n".join(spec.requirements) + "\n"
    source = PackSource(requirements=text, payload_bytes=spec.size, install_py=spec.install_py)
    return Made(spec, make_pack(server, "bench", spec.name, source))


def manifest_of(packs: Sequence[Made]) -> dict[str, object]:
    """The packs as an install's manifest."""
    return {"nodes": [{"name": made.name, "repo_url": made.pack.url} for made in packs]}
