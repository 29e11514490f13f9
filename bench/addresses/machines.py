"""The reader of machines' addresses, and what has to hold for every text that it gets."""

from __future__ import annotations

import random
import re
import shlex
import shutil
from collections.abc import Callable
from functools import partial

from app.domain.address import SshAddress, parse_address, parse_hop
from app.domain.errors import InvalidAddress
from bench.addresses.fuzz import Check, Reader
from test.domain.machine_addresses import REFUSED, SAME_AS_SSH, UNDERSTOOD
from test.support.real_ssh import what_ssh_reads

_HAS_SSH = shutil.which("ssh") is not None
TEXTS: tuple[str, ...] = (*SAME_AS_SSH, *UNDERSTOOD, *REFUSED)
SECRET = "hunter2-S3cret"
_BASES = (
    "ssh -p 22022 root@1.2.3.4",
    "ssh root@ssh6.vast.ai -p 12345 -L 8080:localhost:8080",
    "ssh -i ~/.ssh/id_ed25519 abc-64411234@ssh.runpod.io",
    "ssh -J me@jump.example:2200 root@host.example",
    "ssh -o StrictHostKeyChecking=no -i '/a-key' me@[2001:db8::1]:22",
    "scp -P 22022 file root@1.2.3.4:/workspace",
)
_DECORATIONS: tuple[Callable[[str], str], ...] = (
    lambda text: text.replace(" ", "\n", 1),
    lambda text: text.replace(" ", "\u00a0"),
    lambda text: text.replace(" ", "  \t"),
    lambda text: text.replace(" ", " \\\n  ", 1),
    lambda text: text + "\r\n",
    lambda text: "\n\n" + text,
    lambda text: "\ufeff" + text,
    lambda text: text[:7] + "\u200b" + text[7:],
    lambda text: text.replace("'", "\u2019"),
    lambda text: text.replace(" -", " \u2013"),
    lambda text: f"```\n{text}\n```",
    lambda text: f"```bash\n{text}\n```",
    lambda text: f"`{text}`",
    lambda text: f"$ {text}",
    lambda text: f"me@laptop:~$ {text}",
    lambda text: f"> {text}",
    lambda text: f"{text} # my machine",
    lambda text: f"{text},",
    lambda text: f"sudo {text}",
    lambda text: f"/usr/bin/{text}",
    lambda text: f"SSH command: {text}",
)
_PURE = re.compile(r"ssh(?: [A-Za-z0-9@._=/,-]+)+\Z")


def check(text: str) -> str | None:
    """What is wrong with the reading of any text. Raises what no reader may raise."""
    return _one(text) or ssh_reads_otherwise(text)


def _one(text: str) -> str | None:
    try:
        address = parse_address(text)
    except InvalidAddress as exc:
        return _of_refusal(exc, text)
    if parse_address(str(address)) != address:
        return f"{address!r} is read as {parse_address(str(address))!r}"
    parts = (address.host, address.user or "x", *address.identity_files, *(address.jump or "x").split(","))
    if any(not part or part.startswith("-") or not part.isprintable() for part in parts):
        return f"{address!r} has an option in it"
    if address.jump:
        for hop in address.jump.split(","):
            parse_hop(hop)
    said = f"{address.host} {address.user} {address.jump}"
    return f"the password is in {address!r}" if SECRET in said and f":{SECRET}@" in text else None


def _of_refusal(exc: InvalidAddress, text: str) -> str | None:
    if SECRET in exc.message + exc.hint and SECRET in text:
        return f"the password is in {exc.message!r}"
    right = exc.message.endswith(".") and exc.message.isprintable() and exc.hint and exc.field == "ssh_connection"
    return None if right else f"{exc.message!r}, {exc.hint!r} are no words"


def pasted(rng: random.Random) -> tuple[str, Check]:
    """A command as it is pasted from a chat, a document or a terminal. What stands around it may change nothing."""
    base = rng.choice(_BASES)
    return _decorated(rng, base), partial(reads_otherwise, base)


def reads_otherwise(base: str, text: str) -> str | None:
    """Whether `text` is not read as `base` is."""
    try:
        read: SshAddress | str = parse_address(text)
    except InvalidAddress as exc:
        read = exc.message
    return None if read == parse_address(base) else f"{text!r} is {read!r}, not {parse_address(base)!r}"


def ssh_reads_otherwise(text: str) -> str | None:
    """Whether ssh(1) reads a line in another way; only lines that were accepted, and that a shell would not change."""
    if not _PURE.match(text) or not _HAS_SSH or text[-1] in ",.":
        return None  # those are the sentence's, for us
    try:
        ours = parse_address(text)
    except InvalidAddress:
        return None
    theirs = what_ssh_reads(shlex.split(text)[1:])
    if theirs is None or ":" in theirs.host + ours.host or "@" in theirs.host or theirs.host.endswith("."):
        return None  # more liberal, on purpose: `root@host:22`, a full stop at the end
    if any(not host.strip(".0123456789") for host in (ours.host, *(ours.jump or "x").split(","))):
        return None  # `1.2` is 1.0.0.2 there
    files = tuple(sorted(theirs.identity_files))  # ssh -G prints missing ones apart
    theirs = SshAddress(theirs.host, theirs.port, theirs.user, files, theirs.jump)
    lower = SshAddress(ours.host.lower(), ours.port, ours.user, tuple(sorted(ours.identity_files)), ours.jump)
    return None if theirs == lower else f"{text!r} is {ours!r}, for ssh {theirs!r}"


def _decorated(rng: random.Random, text: str) -> str:
    """With one or two things around it that do not exclude each other."""
    inner, outer = _DECORATIONS[:10], _DECORATIONS[10:]
    return rng.choice(outer)(text) if rng.random() < 0.5 else rng.choice(inner)(rng.choice(inner)(text))


READER = Reader("machines", (*TEXTS, *_BASES, f"ssh root:{SECRET}@1.2.3.4 -p 22"), check, pasted)
