"""The packages that the real default list needs, as facts: versions, sizes, numbers of files, requirements.

`catalog.csv` was read off a real installation of the list (2026, Python 3.11, x86-64 Linux, without torch): the bytes
of the file on the index, and the Python modules and other files that it installs. The bench's index makes files of that
shape of them. Packages that the bench adds are below.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LARGEST_BYTES = 25_000_000
"""What is larger is cut to it, so that all measurements of a bench have room on a disk."""
MOST_INSTALLED_BYTES = 40_000_000
PLACEHOLDER = "tensorrt"
"""A source archive that leads to others, of which the last cannot be built: they say to look on another index."""
LONG_BUILD = "llama-cpp-python"
"""A package without a wheel whose compilers work for minutes."""
BASE: Sequence[str] = (
    *("aiohappyeyeballs==2.7.1", "aiohttp==3.14.5", "aiosignal==1.4.0", "alembic==1.20.1", "annotated-doc==0.0.7"),
    *("annotated-types==0.8.0", "anyio==4.16.0", "attrs==26.1.0", "av==18.1.0", "click==8.5.1", "einops==0.8.2"),
    *("filelock==4.3.1", "frozenlist==1.8.0", "fsspec==2026.9.0", "h11==0.16.0", "hf-xet==1.8.0"),
    *("httpcore2==2.16.2", "httpx2==2.16.2", "huggingface-hub==2.4.0", "idna==3.20", "kornia==0.9.0"),
    *("kornia-rs==0.2.0", "mako==1.4.3", "markdown-it-py==4.3.0", "markupsafe==3.0.4", "mdurl==0.1.2"),
    *("multidict==7.2.1", "numpy==2.4.6", "packaging==26.4", "pillow==13.0.0", "propcache==0.5.4", "psutil==7.2.2"),
    *("pydantic==2.14.4", "pydantic-core==2.50.5", "pydantic-settings==2.16.3", "pygments==2.21.0"),
    *("python-dotenv==1.2.4", "pyyaml==6.0.4", "regex==2026.11.19", "rich==15.0.0", "safetensors==0.8.0"),
    *("scipy==1.17.1", "sentencepiece==0.2.3", "shellingham==1.5.4", "spandrel==0.4.2", "sqlalchemy==2.1.9"),
    *("tokenizers==0.23.3", "torchsde==0.2.6", "tqdm==4.70.1", "trampoline==0.1.2", "transformers==5.24.0"),
    *("truststore==0.10.5", "typer==0.29.2", "typing-extensions==4.16.0", "typing-inspection==0.4.5", "yarl==1.25.1"),
)
"""What ComfyUI itself brought along before, in every way's environment."""
_CATALOG = Path(__file__).with_name("catalog.csv")
_BROKEN = "This is a placeholder package. The real one is on another index."
_TOP_LEVEL = {"pillow": "PIL", "pyyaml": "yaml", "scikit-image": "skimage", "scikit-learn": "sklearn"}


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a package. `bytes_` is its file's size on the index, the other sizes are of what is installed."""

    name: str
    version: str
    is_source: bool
    bytes_: int
    modules: int
    module_bytes: int
    files: int
    file_bytes: int
    requires: tuple[str, ...]
    build_seconds: float = 1.0
    """Processor seconds of its build, if it is a source archive."""
    broken: str = ""
    """What its build ends with."""

    @property
    def top_level(self) -> str:
        """The folder that it installs; the variants of OpenCV share one, as they really do."""
        if self.name.startswith("opencv-"):
            return "cv2"
        return _TOP_LEVEL.get(self.name, self.name.replace("-", "_"))

    @property
    def stem(self) -> str:
        """The beginning of its file's name."""
        return f"{self.name.replace('-', '_')}-{self.version}"


def releases(long_build_seconds: float, *, placeholder_seconds: float = 2.0) -> list[Release]:
    """All that the index has. `long_build_seconds`: processor seconds of the long build; 0: it has a wheel;
    `placeholder_seconds`: those after which the placeholder's build says that it is one."""
    with _CATALOG.open(encoding="utf-8", newline="") as file:
        found = [_release(row) for row in csv.DictReader(file)]
    return [
        *found,
        *_placeholders(placeholder_seconds),
        Release("diskcache", "5.6.3", False, 45_550, 12, 160_000, 0, 0, ()),
        Release("polygraphy", "0.49.26", False, 372_000, 200, 1_400_000, 4, 20_000, ()),
        _long_build(long_build_seconds),
        Release("torch", "2.9.1", False, 400_000, 20, 400_000, 10, 300_000, ()),
        Release("torchvision", "0.24.1", False, 200_000, 20, 200_000, 4, 100_000, ("torch==2.9.1",)),
        Release("torchaudio", "2.9.1", False, 200_000, 20, 200_000, 4, 100_000, ("torch==2.9.1",)),
    ]


def _placeholders(seconds: float) -> list[Release]:
    """As the real one: two source archives that can be built lead to two that cannot."""
    version, end = "11.4.0.106", "==11.4.0.106"
    variant = f"{PLACEHOLDER}-cu13"
    hidden = (f"{variant}-libs", f"{variant}-bindings")
    return [
        Release(PLACEHOLDER, version, True, 40_000, 1, 2_000, 0, 0, (variant + end,), 0.5),
        Release(variant, version, True, 20_000, 1, 2_000, 0, 0, tuple(name + end for name in hidden), 0.5),
        *(Release(name, version, True, 4_000, 1, 200, 0, 0, (), seconds, _BROKEN) for name in hidden),
    ]


def _long_build(seconds: float) -> Release:
    requires = ("diskcache>=5.6.1", "jinja2>=2.11.3", "numpy>=1.20.0", "typing-extensions>=4.5.0")
    size = 25_000_000 if seconds else 4_200_000
    return Release(LONG_BUILD, "0.3.16", bool(seconds), size, 40, 500_000, 12, 12_000_000, requires, seconds)


def _release(row: dict[str, str]) -> Release:
    size, installed = int(row["bytes"]), int(row["file_bytes"])
    return Release(
        name=row["name"],
        version=row["version"],
        is_source=row["kind"] == "source",
        bytes_=min(size, LARGEST_BYTES),
        modules=int(row["modules"]),
        module_bytes=int(row["module_bytes"]),
        files=int(row["files"]),
        file_bytes=min(installed, MOST_INSTALLED_BYTES),
        requires=tuple(filter(None, row["requires"].split(" ; "))),
    )
