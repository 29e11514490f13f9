"""What a list names and cannot be had: collected with why and what to do, without secrets, and bounded."""

from __future__ import annotations

import re
from typing import Dict, List

from app.protocol.redaction import masked

MOST = 1000
_LONGEST_NAME = 200
_USER = re.compile(r"(?<=://)[^\s/@\"'<>]{1,500}@")
_SECRET_FIELD = re.compile(r"([?&][\w.-]*(?:token|key|secret|sig|auth|pass|credential)[\w.-]*=)[^&#\s]*", re.IGNORECASE)


class LeftOutEntries:
    """`entries`: {name, version, reason} of what is not installed, as a lock has it. `remarks`: a sentence each, of
    what is installed otherwise than it stands there."""

    def __init__(self) -> None:
        self.entries: List[Dict[str, str]] = []
        self.remarks: List[str] = []
        self._more = 0

    def add(self, name: object, reason: str, version: object = "") -> None:
        """An entry that cannot be had."""
        if len(self.entries) >= MOST:
            self._more += 1
            return
        self.entries.append({"name": readable(name), "version": readable(version)[:100], "reason": reason[:300]})

    def remark(self, text: str) -> None:
        """Something that is told, and is no loss."""
        if len(self.remarks) < MOST:
            self.remarks.append(text[:300])

    def all(self) -> List[Dict[str, str]]:
        """The entries; the last one stands for those that are too many."""
        more = {"name": "%d more entries" % self._more, "version": "", "reason": "They cannot be installed either."}
        return [*self.entries, more] if self._more else self.entries


def readable(value: object) -> str:
    """A name or address from outside as people may read it: no login, no token, nothing that cannot be printed."""
    text = "" if value is None else str(value) if isinstance(value, (str, int, float)) else "something that is no text"
    text = masked(_SECRET_FIELD.sub(r"\1***", _USER.sub("", text[:2000])))[:_LONGEST_NAME]
    return "".join([letter if letter.isprintable() else " " for letter in text])
