"""Output for the service. Each line carries a marker with the caller's nonce, so that shell banners do no harm."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from app.protocol.redaction import masked

ANSWER, JOURNAL, HEARTBEAT, LOG, WHEEL, END, CANCEL = "r", "j", "h", "l", "w", "e", "c"


class Frames:
    """Writes framed lines to a descriptor."""

    def __init__(self, nonce: str, fd: int = 1) -> None:
        self._marker = b"\x1eNF" + nonce.encode("ascii", "replace") + b" "
        self._fd = fd

    def write(self, kind: str, payload: bytes) -> None:
        """One frame. Raises BrokenPipeError when nobody reads any more."""
        rest = b"\n" + self._marker + kind.encode("ascii") + b" " + payload.rstrip(b"\n") + b"\n"
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def json(self, kind: str, payload: Mapping[str, Any]) -> None:
        """One frame with a JSON payload; no secret of this machine is in it."""
        text = json.dumps(payload)
        self.write(kind, (text if kind == LOG else masked(text)).encode("ascii"))  # pieces of logs are masked before
