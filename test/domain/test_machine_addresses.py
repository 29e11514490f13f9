"""A table of pasted addresses: understood as ssh(1) understands them, or refused with words about the address."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest

from app.domain.address import SshAddress, parse_address, undecorated
from app.domain.errors import InvalidAddress
from test.domain.machine_addresses import REFUSED, SAME_AS_SSH, UNDERSTOOD
from test.support.real_ssh import REAL_HOME, what_ssh_reads


def test_what_is_pasted_is_understood() -> None:
    wrong = []
    for text, expected in (SAME_AS_SSH | UNDERSTOOD).items():
        try:
            address = parse_address(text)
        except InvalidAddress as exc:
            wrong.append(f"{text!r}: {exc.message}")
            continue
        if address != parse_address(expected) or parse_address(str(address)) != address:
            wrong.append(f"{text!r}: {address}, not {expected}")
    assert not wrong, "\n".join(wrong)
    assert len(SAME_AS_SSH) + len(UNDERSTOOD) + len(REFUSED) >= 120


def test_what_is_not_is_refused_with_words() -> None:
    wrong = []
    for text, words in REFUSED.items():
        try:
            wrong.append(f"{text!r}: {parse_address(text)}")
        except InvalidAddress as exc:
            if not re.search(words, exc.message) or not exc.hint or exc.field != "ssh_connection":
                wrong.append(f"{text!r}: {exc.message} ({exc.hint})")
    assert not wrong, "\n".join(wrong)


def test_ssh_reads_the_same() -> None:
    """`ssh -G` says host, port, user, key files and jump host of each line."""
    if shutil.which("ssh") is None:
        pytest.skip("needs ssh (`make system-deps`)")
    wrong = []
    for text in SAME_AS_SSH:
        theirs, ours = what_ssh_reads(shlex.split(text)[1:]), parse_address(text)
        files = tuple(name.replace("~", str(REAL_HOME)) for name in ours.identity_files)
        if theirs != SshAddress(ours.host.lower(), ours.port, ours.user, files, ours.jump):
            wrong.append(f"{text!r}: {ours!r}, ssh: {theirs!r}")
    assert not wrong, "\n".join(wrong)


def test_what_is_kept_of_a_pasted_address_is_its_command() -> None:
    """Lists and pages show it; what was typed as it is stays as it is."""
    assert undecorated("```\n$ ssh -p 22022\n  root@1.2.3.4 # mine\n```") == "ssh -p 22022 root@1.2.3.4"
    assert undecorated("root@1.2.3.4 -p 22022") == "root@1.2.3.4 -p 22022"
    for text in (*SAME_AS_SSH, *UNDERSTOOD):
        assert parse_address(undecorated(text)) == parse_address(text), text
