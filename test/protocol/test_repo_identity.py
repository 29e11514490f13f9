"""Which texts name the same repository: a table of pairs as people paste them, git keeps them and pyproject.toml has
them."""

from __future__ import annotations

import random
from pathlib import Path

from app.protocol.repo_identity import identity, public_address, same_repo, without_login

TABLE = Path(__file__).parent / "data" / "same_repositories.txt"


def pairs() -> list[tuple[str, str, bool]]:
    """The rows of the table."""
    rows = [line.split("  ") for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return [(one, other, word == "same") for word, one, other in rows]


def test_the_same_repository_is_recognised_in_every_spelling() -> None:
    """And another one never is; in both orders."""
    table = pairs()
    assert len(table) >= 60
    wrong = [(one, other) for one, other, same in table if same_repo(one, other) is not same]
    wrong += [(other, one) for one, other, same in table if same_repo(other, one) is not same]
    assert wrong == []


def test_no_text_is_too_odd() -> None:
    """Remotes on an instance are anybody's texts: whatever they are, there is an answer, and soon."""
    texts = [text for one, other, _ in pairs() for text in (one, other)]
    shaken = random.Random(15)  # the same each time
    pieces = ["://", "@", "[", "]", ":", "/", "%", "%00", "é", "\n", ""]
    for _ in range(5000):
        text = list(shaken.choice(texts))
        for _ in range(shaken.randint(1, 4)):
            at = shaken.randrange(len(text) + 1)
            text[at : at + shaken.randint(0, 2)] = shaken.choice(pieces)
        identity("".join(text))
        public_address("".join(text))
    assert identity("https://github.com/" + "https://" * 100_000) is None


def test_nothing_is_asked_with_somebodys_login() -> None:
    """Nor by ssh, where a public host serves the same by https."""
    assert without_login("https://user:secret@git.example/o/r") == "https://git.example/o/r"
    assert without_login("https://a@b:c@git.example/o/r@v1") == "https://git.example/o/r@v1"
    assert without_login("https://p.example/https://a:b@git.example/o") == "https://p.example/https://git.example/o"
    assert without_login("ssh://git:secret@git.example/o/r") == "ssh://git@git.example/o/r"
    assert without_login("ssh://git@git.example/o/r") == "ssh://git@git.example/o/r"
    assert public_address("git@github.com:o/r.git") == "https://github.com/o/r"
    assert public_address("https://token@github.com/o/r.git") == "https://github.com/o/r.git"
    assert public_address("git@git.example:o/r") == "git@git.example:o/r"
