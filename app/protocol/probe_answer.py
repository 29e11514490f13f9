"""What an instance says of itself when it is tested: only what is asked for, of the right types, cleaned.

Nothing of it is proven. It stands beside what the service knows itself (the host key, the address), never in its place.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from app.protocol.json_fields import BadField, read_record

MAX_CARDS = 64
MAX_HOMES = 20
MAX_TEXTS = 50
MAX_PORT = 65535


@dataclass(frozen=True)
class Card:
    """One GPU."""

    name: str
    memory_mib: str


@dataclass(frozen=True)
class Torch:
    """The torch of ComfyUI's Python."""

    version: str
    cuda: Optional[str] = None
    cuda_available: bool = False


@dataclass(frozen=True)
class ComfyUIHome:
    """One ComfyUI of the machine."""

    path: str
    running: bool = False


@dataclass(frozen=True)
class ProbeAnswer:
    """An instance in its own words; None is what could not be found out."""

    ui_home: Optional[str] = None
    disk_free_bytes: Optional[int] = None
    disk_total_bytes: Optional[int] = None
    comfyui_commit: Optional[str] = None
    comfyui_running: Optional[bool] = None
    comfyui_port: Optional[int] = None
    provisioning: Tuple[str, ...] = ()
    processors: Optional[int] = None
    max_processes: Optional[int] = None
    system: Optional[str] = None
    gpu: Optional[Tuple[Card, ...]] = None
    driver: Optional[str] = None
    git: Optional[str] = None
    interpreter: Optional[str] = None
    python: Optional[str] = None
    torch: Optional[Torch] = None
    torch_error: Optional[str] = None
    warnings: Tuple[str, ...] = ()
    comfyui_version: Optional[str] = None
    ui_homes: Tuple[ComfyUIHome, ...] = ()
    """All that were found, where there are several."""

    def to_json(self) -> Dict[str, Any]:
        """As the API shows it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def read_probe(raw: Mapping[str, Any]) -> ProbeAnswer:
    """The answer of the runner's `probe`. Raises BadField, which names the field."""
    found = read_record(ProbeAnswer, raw)
    if found.comfyui_port is not None and not 0 < found.comfyui_port <= MAX_PORT:
        raise BadField("comfyui_port: no port")
    if len(found.gpu or ()) > MAX_CARDS or len(found.ui_homes) > MAX_HOMES:
        raise BadField("too many entries")
    if len(found.provisioning) > MAX_TEXTS or len(found.warnings) > MAX_TEXTS:
        raise BadField("too many entries")
    return found


@dataclass(frozen=True)
class _Homes:
    ui_homes: Tuple[ComfyUIHome, ...] = ()


def read_homes(raw: Mapping[str, Any]) -> Tuple[ComfyUIHome, ...]:
    """The ComfyUIs that an answer without a probe names. Raises BadField."""
    found = read_record(_Homes, raw).ui_homes
    if len(found) > MAX_HOMES:
        raise BadField("too many entries")
    return found
