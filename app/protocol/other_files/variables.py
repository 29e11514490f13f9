"""Variables in files for other machines: `${NAME:-x}` is x, and a few have a value that everybody knows."""

from __future__ import annotations

import re
from typing import Dict, Mapping, Optional

WELL_KNOWN: Mapping[str, str] = {"WORKSPACE": "/workspace", "HOME": "/root", "COMFYUI_DIR": "/workspace/ComfyUI"}
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::?[-=]([^{}]*))?\}|\$([A-Za-z_]\w*)")
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|API_?KEY", re.IGNORECASE)
_MOST_CHARS = 4000


def expanded(text: str, known: Optional[Mapping[str, str]] = None) -> Optional[str]:
    """A text with its variables filled in: as `known` has them, by their defaults, or as on every machine; a secret is
    left out. None where the value of one is not known. Nothing is run, and nothing of this machine is looked at."""
    values: Dict[str, str] = {**WELL_KNOWN, **(known or {})}
    missing = []

    def value(found: re.Match[str]) -> str:
        name = found.group(1) or found.group(3)
        if _SECRET.search(name):
            return ""
        if found.group(2) is not None and name not in (known or {}):
            return found.group(2)
        if name not in values:
            missing.append(name)
        return values.get(name, "")

    text = _VARIABLE.sub(value, text[:_MOST_CHARS])
    return None if missing or "$" in text or "`" in text else text
