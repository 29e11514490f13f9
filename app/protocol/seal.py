"""A run's seal: shows that a line of the journal, or a word for the run, comes from who knows the run's secret.

The service makes the secret and sends it with the start, on the runner's input. It is kept in the service's record and
in the runner's memory, never in a file, an argument or a variable on the instance: there, packs' own code runs as the
runner's user and could read it. docs/decisions, 0022.
"""

from __future__ import annotations

import os
from typing import Optional

from app.protocol.json_fields import ProtocolFault

_SECRET_BYTES = 32
_MARK_CHARS = 32
_BEFORE, _BEHIND = b',"seal":"', b'"}'
_TAIL_BYTES = len(_BEFORE) + _MARK_CHARS + len(_BEHIND)
ANSWER, SKIP = "answer", "skip"
"""What a word is for: a mark for one is none for the other."""


class Seal:
    """Marks what belongs to one run, and knows it again. Any thread."""

    def __init__(self, secret: str) -> None:
        """`secret`: as `new_secret` gives it. Raises ProtocolFault for anything else."""
        import hashlib  # these two load OpenSSL, which most calls of the runner need not
        import hmac

        self._hash, self._same = hashlib.blake2b, hmac.compare_digest
        try:
            self._key = bytes.fromhex(secret)
        except (TypeError, ValueError):
            self._key = b""
        if len(self._key) != _SECRET_BYTES:
            raise ProtocolFault("not the secret of a seal")

    @staticmethod
    def of(secret: Optional[str]) -> Optional[Seal]:
        """The seal with a secret, where there is one. Raises ProtocolFault."""
        return None if secret is None else Seal(secret)

    def line(self, line: bytes) -> bytes:
        """A journal line (a JSON object and a newline) with its mark as the last field."""
        body = line[:-2]
        return body + _BEFORE + self._mark(b"line", body) + _BEHIND + b"\n"

    def has_line(self, line: bytes) -> bool:
        """Whether a line, without its newline, is one that `line` gave."""
        body, tail = line[:-_TAIL_BYTES], line[-_TAIL_BYTES:]
        mark = tail[len(_BEFORE) : -len(_BEHIND)]
        return tail == _BEFORE + mark + _BEHIND and self._same(mark, self._mark(b"line", body))

    def word(self, purpose: str, *words: str) -> str:
        """The mark of what the user wants of the run."""
        return self._mark(purpose.encode("ascii"), "\0".join(words).encode("utf-8")).decode("ascii")

    def has_word(self, mark: str, purpose: str, *words: str) -> bool:
        """Whether a mark is the one that `word` gave."""
        return self._same(mark.encode("utf-8", "replace"), self.word(purpose, *words).encode("ascii"))

    def _mark(self, purpose: bytes, content: bytes) -> bytes:
        made = self._hash(content, key=self._key, person=purpose, digest_size=_MARK_CHARS // 2)
        return made.hexdigest().encode("ascii")


def new_secret() -> str:
    """A secret that nobody can guess."""
    return os.urandom(_SECRET_BYTES).hex()
