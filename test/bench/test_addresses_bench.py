"""Readers of pasted addresses: a fixed sample of what `make prove-addresses` plays for ten minutes."""

from __future__ import annotations

import random

import pytest

from app.domain.address import SshAddress
from bench.addresses import machines, repositories
from bench.addresses.__main__ import main
from bench.addresses.fuzz import Reader, run


@pytest.mark.parametrize("reader", [machines.READER, repositories.READER], ids=lambda reader: reader.name)
def test_random_changes_bring_no_reader_down(reader: Reader) -> None:
    """Address or refusal, the same when it is read again, and no secret in what is said."""
    result = run(reader, seed=7, seconds=8, most=8000)
    assert result.wrong == []
    assert result.read > 500


def test_the_judge_of_machines_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another reader: options as hosts, other hosts than ssh's, decorations that are kept."""
    monkeypatch.setattr(machines, "parse_address", lambda text: SshAddress("-oProxyCommand=x"))
    assert machines.check("ssh host")
    monkeypatch.setattr(machines, "parse_address", lambda text: SshAddress("other"))
    assert machines.ssh_reads_otherwise("ssh host")
    monkeypatch.setattr(machines, "parse_address", SshAddress)
    text, check = machines.pasted(random.Random(1))
    assert check(text)


def test_what_is_wrong_is_printed_and_fails() -> None:
    """A reader that raises is found, and the run goes on to its limit."""

    def broken(text: str) -> str | None:
        raise ValueError(text)

    assert len(run(Reader("broken", ("a", "b"), broken, lambda rng: ("c", broken)), seed=1, seconds=5).wrong) == 20
    assert main(["repositories", "machines", "--most", "10", "--seconds", "5"]) == 0
