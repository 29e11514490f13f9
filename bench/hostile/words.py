"""A command as it comes to an instance: what the service asks of the runner there."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

_OCTAL = re.compile(r"\\0([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Words:
    """A command that came: its name (`find` and `upload` are scripts), its nonce or tag, its arguments."""

    name: str
    nonce: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, command: bytes) -> Words:
        words = shlex.split(command.decode("utf-8", "replace"))
        if words[:3] == ["exec", "sh", "-c"]:  # what other shells would misread comes in escapes
            words = shlex.split(_octal(words[-1]))[1:]
        if words[:2] == ["sh", "-c"]:
            given = words[4:]
            return cls(
                "find" if len(given) == 3 else "upload", given[0] if len(given) == 3 else given[-1], tuple(given)
            )
        name = words[4] if len(words) > 4 else ""
        nonce = words[words.index("--nonce") + 1] if "--nonce" in words else "0"
        return cls(name, nonce, tuple(words[5:]))

    @property
    def task_id(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def offset(self) -> int:
        return int(self.words[self.words.index("--offset") + 1]) if "--offset" in self.words else 0

    def frame(self, kind: str, payload: bytes) -> bytes:
        """As the runner marks its lines."""
        return b"\n\x1eNF" + self.nonce.encode() + b" " + kind.encode() + b" " + payload + b"\n"


def _octal(text: str) -> str:
    """What `printf %b` makes of the escapes that the service writes."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
