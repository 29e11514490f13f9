"""The torch family: torch and what is built against it, whose installed builds stay as they are."""

from __future__ import annotations

import re
from typing import Dict, Mapping, Optional

from app.runner.requirements.lines import canonical, name_of

_FAMILY = re.compile(
    r"^(torch|torchvision|torchaudio|xformers|triton|flash-attn|flash-attention|sageattention|nvidia-.*|cuda-.*)$"
)
_HARMLESS = frozenset({"nvidia-ml-py", "nvidia-ml-py3"})
"""Pure Python, whatever torch and CUDA are. (So are `pynvml` and `torchsde`.)"""


def is_protected(name: str) -> bool:
    """Whether the package is of the torch family."""
    found = canonical(name)
    return bool(_FAMILY.match(found)) and found not in _HARMLESS


def protected(packages: Mapping[str, str]) -> Dict[str, str]:
    """The installed members of the torch family and their versions."""
    return {canonical(name): version for name, version in packages.items() if is_protected(name)}


def protected_name(line: str) -> Optional[str]:
    """The member of the torch family that a requirement line asks for, by name or by an address; None for any
    other."""
    found = name_of(line)
    if found == "flash-attention":
        found = "flash-attn"
    return found if is_protected(found) else None
