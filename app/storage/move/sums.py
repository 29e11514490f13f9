"""Whether what arrived is what was sent: a sum over rows in any order, since two databases order texts differently."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Progress = Callable[[str, int, int], None]
"""Told of what is moved, how much of it is there, and how much there is."""


@dataclass(slots=True)
class Sum:
    """How many rows, their bytes, and a sum of their hashes."""

    rows: int = 0
    size: int = 0
    digest: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """One row, as JSON values."""
        self.add_bytes(json.dumps(row, sort_keys=True, separators=(",", ":")).encode())

    def add_bytes(self, *parts: bytes) -> None:
        """One row, as bytes."""
        hashed = hashlib.sha256()
        for part in parts:
            hashed.update(len(part).to_bytes(8, "big"))
            hashed.update(part)
        self.rows += 1
        self.size += sum(map(len, parts))
        self.digest = (self.digest + int.from_bytes(hashed.digest(), "big")) % 2**256
