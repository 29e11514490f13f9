"""Which versions of torch's companions fit a torch. Most say so themselves (`torch==2.9.1`), and a resolver that holds
torch finds them; this is what they do not say.

Sources: the compatibility tables of torchcodec's README, of torchaudio's installation page and of torchao's issue 2919,
and the triton that torch's releases ask for on Linux.
"""

from __future__ import annotations

import re
from typing import Dict, FrozenSet, List, Mapping, Optional

COMPANIONS = frozenset(
    {
        "flash-attn",
        "sageattention",
        "torchao",
        "torchaudio",
        "torchcodec",
        "torchtext",
        "torchvision",
        "triton",
        "xformers",
    }
)
"""Packages that are built against one torch."""
BUILT_BY_HAND = frozenset({"flash-attn", "sageattention"})
"""Those that are compiled for hours, or not at all: never brought because another package asks for them."""
_TORCHCODEC: Mapping[int, str] = {
    4: "<0.1",
    5: ">=0.1,<0.2",
    6: ">=0.2,<0.3",
    7: ">=0.3,<0.6",
    8: ">=0.6,<0.8",
    9: ">=0.8,<0.10",
    10: ">=0.10,<0.11",
}
"""By torch's minor version; from 2.11 on every torch will do for those that were built for it."""
_TORCHAO: Mapping[int, str] = {4: "<0.10", 5: "<0.13", 6: "<0.13", 7: "<0.13", 8: "<0.14", 9: "<0.16", 10: "<0.17"}
_TRITON: Mapping[int, str] = {
    4: "==3.0.*",
    5: "==3.1.*",
    6: "==3.2.*",
    7: "==3.3.*",
    8: "==3.4.*",
    9: "==3.5.*",
    10: "==3.6.*",
}
_STABLE = 11
"""torch 2.11 has a stable ABI, which torchaudio and torchcodec use since then."""


def companion_bounds(packages: Mapping[str, str]) -> Dict[str, str]:
    """Bounds for companions that do not name their torch, by package. `packages`: canonical names and versions of what
    is installed. Those that are installed have none."""
    minor = _minor_of(packages.get("torch", ""))
    if minor is None:
        return {}
    found: Dict[str, Optional[str]] = {
        "torchaudio": "<2.11" if minor < _STABLE else None,
        "torchcodec": _TORCHCODEC.get(minor, "<0.1" if minor < _STABLE else ">=0.11"),
        "torchao": _TORCHAO.get(minor, "<0.10" if minor < min(_TORCHAO) else None),
        "triton": _TRITON.get(minor, "<3" if minor < min(_TRITON) else None),
    }
    return {name: bounds for name, bounds in found.items() if bounds and name not in packages}


def absent(packages: Mapping[str, str]) -> FrozenSet[str]:
    """The companions that are not installed, where torch is."""
    return COMPANIONS - set(packages) if "torch" in packages else frozenset()


def as_lines(bounds: Mapping[str, str]) -> List[str]:
    """As constraints."""
    return ["%s%s" % item for item in sorted(bounds.items())]


def _minor_of(torch: str) -> Optional[int]:
    """Of torch 2; of torch 1 it is 0, and all that came with torch 2.4 is too new."""
    found = re.match(r"(\d+)\.(\d+)", torch)
    if not found:
        return None
    major, minor = int(found.group(1)), int(found.group(2))
    return minor if major == 2 else 0 if major < 2 else None
