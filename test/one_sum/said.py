"""The numbers that a sentence says of node packs, and whether they are those of a run's counts."""

from __future__ import annotations

import re

from test.one_sum.drawn import Sums

_OF = re.compile(r"\b(?P<ready>\d+) of (?P<total>\d+)\b[^,;]*?\bready\b")
_ALL = re.compile(r"\b[Aa]ll (?P<total>\d+) node packs are ready|loads all (?P<loaded>\d+) node packs")
_NONE = re.compile(r"[Nn]one of the (?P<total>\d+) node packs")
_PARTS = {
    "failed": re.compile(r"\b(\d+) failed\b"),
    "problem": re.compile(r"\b(\d+) with a problem\b"),
    "skipped": re.compile(r"\b(\d+) skipped\b"),
    "cancelled": re.compile(r"\b(\d+) (?:cancelled|stopped)\b"),
}


def numbers_in(sentence: str) -> Sums:
    """By standing, and `total`; only what it says. A sentence that tells how many are ready and what is wrong, and
    leaves something out, says 0 of that."""
    found: Sums = {}
    if (of := _OF.search(sentence)) is not None:
        found |= {"ready": int(of["ready"]), "total": int(of["total"])} | dict.fromkeys(_PARTS, 0)
    if (every := _ALL.search(sentence)) is not None:
        number = int(every["total"] or every["loaded"])
        found |= {"ready": number, "total": number} | dict.fromkeys(_PARTS, 0)
    if (none := _NONE.search(sentence)) is not None:
        found |= {"ready": 0, "total": int(none["total"])}
    for word, pattern in _PARTS.items():
        if (part := pattern.search(sentence)) is not None:
            found[word] = int(part[1])
    return found


def differences(where: str, shown: Sums, sums: Sums) -> list[str]:
    """Where two sums are not one; only what both have."""
    return [
        f"{where}: {word} is {shown[word]}, and {sums[word]} must be"
        for word in shown
        if word in sums and shown[word] != sums[word]
    ]
