"""What packs may run or bring, by kind: allowed, asked about, or refused. A service has a word for each kind, and a
request may be stricter."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Dict, Iterable, Mapping, Sequence, Tuple

ALLOW, ASK, REFUSE = "allow", "ask", "refuse"
WORDS = (ALLOW, ASK, REFUSE)
"""From the laxest to the strictest."""


@dataclass(frozen=True)
class Policies:
    """A word for each kind."""

    scripts: str = ALLOW
    """A pack's install.py."""
    prestartup: str = ALLOW
    """A pack's prestartup_script.py, which ComfyUI runs at each start."""
    direct_urls: str = ALLOW
    """Requirements that are addresses."""
    indexes: str = ALLOW
    """Places of a pack's own that packages come from."""
    builds: str = ALLOW
    """Packages that are built on the instance."""

    @classmethod
    def read(cls, given: Any) -> Policies:
        """From JSON; what is not there is allowed. Raises ValueError for a kind or a word that there is not."""
        if given is None:
            return cls()
        if not isinstance(given, Mapping):
            raise ValueError("the policies are no object")
        return cls(**dict(_checked(str(kind), word) for kind, word in given.items()))

    @classmethod
    def of_words(cls, words: Iterable[str]) -> Policies:
        """From `kind=word` texts, of which the strictest of a kind counts. Raises ValueError."""
        found = cls()
        for text in words:
            kind, word = _checked(*text.partition("=")[::2])
            found = found.stricter(cls(**{kind: word}))
        return found

    def stricter(self, other: Policies) -> Policies:
        """Of each kind the stricter word of both."""
        mine, theirs = self.to_json(), other.to_json()
        return Policies(**{kind: max(word, theirs[kind], key=WORDS.index) for kind, word in mine.items()})

    def to_json(self) -> Dict[str, str]:
        """The words by kind."""
        return asdict(self)


KINDS: Sequence[str] = tuple(each.name for each in fields(Policies))


def check_policy(text: str) -> str:
    """`text`, if it is `kind=word`. Raises ValueError."""
    _checked(*text.partition("=")[::2])
    return text


def laxer(asked: Iterable[str], own: Policies) -> Tuple[str, ...]:
    """Those of the `kind=word` texts that are laxer than a service's own policies."""
    return tuple(
        text
        for text in asked
        for kind, word in [_checked(*text.partition("=")[::2])]
        if WORDS.index(word) < WORDS.index(own.to_json()[kind])
    )


def _checked(kind: str, word: Any) -> Tuple[str, str]:
    if kind not in KINDS:
        raise ValueError("%.40r is none of %s" % (kind, ", ".join(KINDS)))
    if word not in WORDS:
        raise ValueError("%s is %.40r, which is none of %s" % (kind, word, ", ".join(WORDS)))
    return kind, str(word)
