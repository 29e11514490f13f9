"""A torch family of a few kilobytes: real distributions by their metadata, whose modules say what a test run asks.

Formats: dist-info and RECORD (packaging.python.org, "Recording installed projects").
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CUDA = "12.8"
_LOCAL = "+cu128"


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution: `files` by their path in site-packages, `@VERSION@` and `@CUDA@` to be filled in."""

    name: str
    version: str
    files: Mapping[str, str]
    requires: tuple[str, ...] = ()

    @property
    def metadata_folder(self) -> str:
        """The name of its dist-info folder."""
        return f"{self.name}-{self.version}.dist-info"


_TORCH = {
    "torch/__init__.py": """\"\"\"A stand-in for torch.\"\"\"

from torch import cuda, version

__version__ = "@VERSION@"
""",
    "torch/version.py": """\"\"\"What this build is.\"\"\"

__version__ = "@VERSION@"
cuda = "@CUDA@"
hip = None
""",
    "torch/cuda.py": """\"\"\"There is no GPU.\"\"\"


def is_available():
    \"\"\"Whether there is one.\"\"\"
    return False


def device_count():
    \"\"\"How many there are.\"\"\"
    return 0
""",
}
_COMPANION = """\"\"\"A stand-in for a companion of torch.\"\"\"

import torch

__version__ = "@VERSION@"
"""
_FITS = ("torch==2.9.1",)
TORCH_FAMILY = (
    Distribution("torch", f"2.9.1{_LOCAL}", _TORCH),
    Distribution("torchvision", f"0.24.1{_LOCAL}", {"torchvision/__init__.py": _COMPANION}, _FITS),
    Distribution("torchaudio", f"2.9.1{_LOCAL}", {"torchaudio/__init__.py": _COMPANION}, _FITS),
)


def install_family(site_packages: Path) -> None:
    """Put the family into a folder of packages, as an installer would."""
    for distribution in TORCH_FAMILY:
        for name, text in _files_of(distribution).items():
            path = site_packages / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")


def family_files(site_packages: Path) -> list[Path]:
    """Every file of the family that is there, sorted; what Python compiles beside them does not count."""
    names = [name for d in TORCH_FAMILY for name in (d.name, f"{d.name}-*.dist-info", f"~{d.name[1:]}*")]
    found = {path for name in names for folder in site_packages.glob(name) for path in folder.rglob("*")}
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def fingerprint_of(site_packages: Path) -> str:
    """SHA-256 over the names and contents of `family_files`."""
    digest = hashlib.sha256()
    for path in family_files(site_packages):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(site_packages)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _files_of(distribution: Distribution) -> dict[str, str]:
    """Its modules and its dist-info, by their path in site-packages."""
    folder = distribution.metadata_folder
    metadata = f"Metadata-Version: 2.1\nName: {distribution.name}\nVersion: {distribution.version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in distribution.requires)
    wheel = "Wheel-Version: 1.0\nGenerator: nodeferry stand-in\nRoot-Is-Purelib: false\nTag: py3-none-any\n"
    files = {
        **{
            name: text.replace("@VERSION@", distribution.version).replace("@CUDA@", CUDA)
            for name, text in distribution.files.items()
        },
        f"{folder}/METADATA": metadata,
        f"{folder}/WHEEL": wheel,
        f"{folder}/INSTALLER": "pip\n",
        f"{folder}/top_level.txt": f"{distribution.name}\n",
    }
    record = ""
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        record += f"{name},sha256={digest},{len(text.encode())}\n"
    return {**files, f"{folder}/RECORD": record + f"{folder}/RECORD,,\n"}
