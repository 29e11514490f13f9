"""The SSH command behind a pasted scp, sftp or rsync line. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

PROGRAMS = frozenset({"scp", "sftp", "rsync"})

_WITH_VALUE = frozenset("cDFiJloPSXBbRs")
_REMOTE_SHELL = ("-e", "--rsh")


def as_ssh(words: Sequence[str]) -> list[str] | None:
    """The words of the ssh command that logs in to where `words` copies to or from, without `ssh` itself.

    None when no machine is named, or two. Raises ValueError for a quotation mark that is not closed.
    """
    program, rest = words[0], list(words[1:])
    options, operands = _rsync(rest) if program == "rsync" else _scp(rest, program)
    remote = list(dict.fromkeys(filter(None, (_machine(place, program) for place in operands))))
    return [*options, remote[0]] if len(remote) == 1 else None


def _scp(words: list[str], program: str) -> tuple[list[str], list[str]]:
    """Options in ssh's spelling (`-P` is its `-p`), and what is copied."""
    options: list[str] = []
    operands: list[str] = []
    while words:
        word = words.pop(0)
        if not word.startswith("-") or len(word) < 2:
            operands.append(word)
            continue
        flag = next((at for at, letter in enumerate(word) if at and letter in _WITH_VALUE), 0)
        if not flag or (word[flag] == "s" and program == "scp"):
            continue  # only letters without a value, which say how to copy
        value = word[flag + 1 :] or (words.pop(0) if words else "")
        letter = {"P": "p", "l": "", "B": "", "b": "", "R": "", "X": "", "c": "", "s": ""}.get(word[flag], word[flag])
        if letter:
            options += [f"-{letter}", value]
    return options, operands


def _rsync(words: list[str]) -> tuple[list[str], list[str]]:
    """The options of its remote shell, and what is copied."""
    options: list[str] = []
    operands: list[str] = []
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name in _REMOTE_SHELL or (word.startswith("-") and not word.startswith("--") and word.endswith("e")):
            shell = shlex.split(value if equals else (words.pop(0) if words else ""))
            options += shell[1:] if shell[:1] == ["ssh"] else ["-F", "?"]  # another program would be run here
        elif not word.startswith("-"):
            operands.append(word)
    return options, operands


def _machine(place: str, program: str) -> str:
    """`user@host` of a remote place; empty for a file of this machine."""
    for scheme in ("scp://", "sftp://", "rsync://"):
        if place.startswith(scheme):
            return "ssh://" + place.removeprefix(scheme).partition("/")[0]
    if program == "sftp" and ":" not in place:
        return place
    head, colon, _ = place.partition(":")
    if place.startswith("[") or "@[" in place:
        head, colon, _ = place.partition("]:")
        head += "]"
    return head if colon and "/" not in head else ""
