"""Packs for the names of a custom_nodes.csv: the real list, served by the stand-in's own git server."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.standin.git_rules import MISSING, PRIVATE
from app.standin.git_server import GitServer
from app.standin.packs import Pack, PackSource, make_pack

SMALLEST = 20_000
LARGEST = 30_000_000
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class CsvPacks:
    """The packs that were made, by the CSV's names; `missing` and `private` are names that cannot be cloned."""

    packs: dict[str, Pack]
    missing: tuple[str, ...]
    private: tuple[str, ...]


def custom_nodes_csv_packs(
    server: GitServer,
    csv_text: str,
    sizes: Callable[[str], int] | None = None,
    *,
    missing: tuple[str, ...] = (),
    private: tuple[str, ...] = (),
    requirements: Callable[[str], str] = lambda name: f"# nothing that {name} needs\n",
) -> CsvPacks:
    """Make a repository for each row, at the row's own `owner/name`.

    sizes: bytes of a pack by its name (default: `spread_sizes` over the rows); missing, private: names whose repository
    answers 404, or 401; requirements: text of the requirements file, where the row names one.
    """
    rows = list(csv.DictReader(io.StringIO(csv_text)))
    size_of = sizes or spread_sizes([row["Name"] for row in rows])
    for row in rows:
        rule = MISSING if row["Name"] in missing else PRIVATE if row["Name"] in private else None
        if rule is not None:
            server.set_rule("/".join(_owner_and_name(row["RepoUrl"])), rule)
    wanted = [row for row in rows if row["Name"] not in (*missing, *private)]

    def make(row: dict[str, str]) -> Pack:
        file = row.get("RequirementsFile") or None
        source = PackSource(
            payload_bytes=size_of(row["Name"]),
            requirements=requirements(row["Name"]) if file else None,
            requirements_file=file or "requirements.txt",
        )
        return make_pack(server, *_owner_and_name(row["RepoUrl"]), source)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        made = list(pool.map(make, wanted))
    packs = {row["Name"]: pack for row, pack in zip(wanted, made, strict=True)}
    return CsvPacks(packs, missing, private)


def spread_sizes(names: list[str]) -> Callable[[str], int]:
    """Sizes from SMALLEST to LARGEST, each a constant factor above the last, dealt to the names by their hashes."""
    ranked = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    step = (LARGEST / SMALLEST) ** (1 / max(1, len(ranked) - 1))
    sizes = {name: round(SMALLEST * step**rank) for rank, name in enumerate(ranked)}
    return sizes.__getitem__


def _owner_and_name(url: str) -> tuple[str, str]:
    owner, _, name = urlsplit(url).path.strip("/").partition("/")
    return owner, name.removesuffix(".git")
