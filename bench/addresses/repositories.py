"""The reader of repositories' addresses, and what has to hold for every text that it gets."""

from __future__ import annotations

import random
from collections.abc import Callable

from app.protocol import refs
from app.protocol.manifest import CSV_COLUMNS, ManifestFault, NodePack, parse_csv, parse_nodes, parse_urls
from app.protocol.pasted_address import RepoAddress, list_in, read_address
from app.protocol.pasted_text import split_pasted
from app.protocol.repo_url import BadRepoUrl, check_repo_url, repo_name
from bench.addresses.fuzz import Check, Reader
from bench.addresses.repository_table import TABLE, Refused, Understood

SCHEMES = ("https", "ssh")
SECRET = "hunter2-S3cret"
_LOGINS = (f"me:{SECRET}@", f"x-access-token:{SECRET}@", f"{SECRET}@", f"oauth2:{SECRET}@", f":{SECRET}@")
_TOKENS = (f"?private_token={SECRET}", f"?access_token={SECRET}&x=1", f"?tab=readme&token={SECRET}")


def said_of(entry: Understood | Refused) -> str | None:
    """Where the reading of a table's entry is not what is expected; None where it is."""
    try:
        read = read_address(entry.text, SCHEMES)
    except BadRepoUrl as exc:
        if isinstance(entry, Refused) and all(word in str(exc) for word in entry.words):
            return None
        return f"{entry.text!r} is refused: {exc}"
    if isinstance(entry, Refused):
        return f"{entry.text!r} is understood as {read}"
    wanted = RepoAddress(entry.url, entry.ref, entry.folder)
    count = len(refs.candidates(read.ref))
    return None if (read, count) == (wanted, entry.candidates) else f"{entry.text!r} is {read}, {count} candidates"


def check(text: str) -> str | None:
    """What is wrong with the reading of any text. Raises what no reader may raise."""
    for wrong in (_one(text), _as_lists(text)):
        if wrong:
            return wrong
    return None


def _one(text: str) -> str | None:
    try:
        read = read_address(text, SCHEMES)
    except BadRepoUrl as exc:
        return _of_message(str(exc), text)
    if SECRET in repr(read) and SECRET in text:
        return f"the secret is in {read}"
    if not read.url.isascii() or not read.url.isprintable() or " " in read.url or read.url.startswith("-"):
        return f"{read.url!r} is no plain address"
    if check_repo_url(read.url, SCHEMES) != read.url or read_address(read.url, SCHEMES) != RepoAddress(read.url):
        return f"{read.url!r} is read as {read_address(read.url, SCHEMES)}"
    if read.ref is not None and not refs.is_ref(read.ref):
        return f"{read.ref!r} is no ref"
    names = refs.candidates(read.ref)
    if read.ref is not None and (not names or any(name.startswith("-") or ":" in name for name in names)):
        return f"{read.ref!r} may mean {names}"
    list_in(text)
    return None if repo_name(read.url) else f"{read.url!r} has no name"


def _of_message(message: str, text: str) -> str | None:
    if SECRET in message and SECRET in text:
        return f"the secret is in {message!r}"
    right = message.endswith(".") and message.isprintable() and len(message) < 600
    return None if right else f"{message!r} is no sentence"


def _as_lists(text: str) -> str | None:
    """The same in each form of a list, and what comes out of one goes in again."""
    pieces = split_pasted(text)
    if [again for piece in pieces for again in split_pasted(piece)] != pieces:
        return f"{pieces} is split further"
    cell = text.replace('"', '""')
    forms: tuple[Callable[[], list[NodePack]], ...] = (
        lambda: parse_urls([text], SCHEMES),
        lambda: parse_nodes([{"name": "pack", "repo_url": text}], SCHEMES),
        lambda: parse_csv(f'{",".join(CSV_COLUMNS)}\npack,"{cell}",,\n', SCHEMES),
    )
    for form in forms:
        try:
            packs = form()
        except ManifestFault as fault:
            if _of_message(fault.message, text) and "CSV" not in fault.message:
                return _of_message(fault.message, text)
            continue
        again = parse_nodes([{**pack.to_json(), "subfolder": pack.subfolder} for pack in packs], SCHEMES)
        if again != packs:
            return f"{packs} goes in again as {again}"
    return None


def with_login(rng: random.Random) -> tuple[str, Check]:
    """An address with a password or token in it."""
    text = rng.choice([entry.text for entry in TABLE if "://" in entry.text and not {"@", " "} & set(entry.text)])
    if rng.random() < 0.5:
        return text.replace("://", "://" + rng.choice(_LOGINS), 1), check
    return text.rstrip("/.,;") + rng.choice(_TOKENS), check


READER = Reader("repositories", tuple(entry.text for entry in TABLE), check, with_login)
