"""The user's ~/.ssh/config is followed, and reading it never runs or looks up anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.address import parse_address
from app.domain.errors import RemoteError
from app.remote.ssh_config import Endpoint, resolve


def test_without_a_file_the_address_and_defaults_count(ssh_dir: Path) -> None:
    assert resolve(parse_address("host"), ssh_dir) == Endpoint("host", 22, "root")
    assert resolve(parse_address("me@host:2"), ssh_dir / "not there") == Endpoint("host", 2, "me")


def test_an_alias_stands_for_what_the_file_says(ssh_dir: Path) -> None:
    _write(
        ssh_dir,
        "Host gpu\n HostName 192.0.2.7\n Port 2222\n User me\n IdentityFile /keys/%h\n IdentityFile ~/k\n"
        " IdentitiesOnly yes\n ProxyJump hop:7\nHost *\n User nobody\n",
    )
    endpoint = resolve(parse_address("gpu"), ssh_dir)
    assert (endpoint.host, endpoint.port, endpoint.user, endpoint.jump) == ("192.0.2.7", 2222, "me", "hop:7")
    assert endpoint.config_identity_files == ("/keys/192.0.2.7", str(Path.home() / "k"))
    assert endpoint.identities_only
    assert str(endpoint) == "me@192.0.2.7:2222"


def test_the_address_itself_wins(ssh_dir: Path) -> None:
    _write(ssh_dir, "Host gpu\n HostName 192.0.2.7\n Port 2222\n User me\n ProxyJump hop\n")
    endpoint = resolve(parse_address("ssh -p 3 -J other root@gpu"), ssh_dir)
    assert (endpoint.host, endpoint.port, endpoint.user, endpoint.jump) == ("192.0.2.7", 3, "root", "other")


@pytest.mark.parametrize("word", ["exec", "EXEC", "!exec", "Exec"])
@pytest.mark.parametrize(
    "place", ["{word} 'touch {mark}'", "host gpu {word} 'touch {mark}'", 'final {word} "touch {mark}"']
)
def test_match_exec_runs_nothing(ssh_dir: Path, word: str, place: str) -> None:
    """The block is as if it were not there, and the rest of the file counts."""
    mark = ssh_dir / "mark"
    _write(ssh_dir, f"Match {place.format(word=word, mark=mark)}\n Port 9\nHost gpu\n Port 5\n")
    assert resolve(parse_address("gpu"), ssh_dir).port == 5
    assert not mark.exists()


def test_match_exec_in_an_included_file_runs_nothing(ssh_dir: Path) -> None:
    (ssh_dir / "extra").write_text(f"Match exec='touch {ssh_dir}/mark'\n Port 9\n")
    _write(ssh_dir, "Include extra\n Port 5\n")
    assert resolve(parse_address("gpu"), ssh_dir).port == 5
    assert not (ssh_dir / "mark").exists()


def test_match_on_words_counts(ssh_dir: Path) -> None:
    _write(ssh_dir, "Match host gpu,cpu user me\n Port 9\nHost gpu\n User me\nMatch originalhost gpu\n Port 7\n")
    assert resolve(parse_address("gpu"), ssh_dir).port == 7  # the first block comes before the user is set
    assert resolve(parse_address("other"), ssh_dir).port == 22


def test_unknown_criteria_apply_to_nothing(ssh_dir: Path) -> None:
    _write(ssh_dir, "Match localnetwork 10.0.0.0/8\n Port 9\nMatch tagged x\n Port 8\n")
    assert resolve(parse_address("gpu"), ssh_dir).port == 22


def test_included_files_count_in_their_place(ssh_dir: Path) -> None:
    """Relative to ~/.ssh, with wildcards; the block around an Include goes on behind it; circles end."""
    (ssh_dir / "config.d").mkdir()
    (ssh_dir / "config.d" / "a").write_text("Host gpu\n Port 7\n")
    (ssh_dir / "config.d" / "b").write_text("Include ../config\n")
    _write(ssh_dir, "Host gpu\n Include config.d/*\n User me\n")
    endpoint = resolve(parse_address("gpu"), ssh_dir)
    assert (endpoint.port, endpoint.user) == (7, "me")
    assert resolve(parse_address("other"), ssh_dir).user == "root"


def test_names_are_not_looked_up(ssh_dir: Path) -> None:
    _write(ssh_dir, "CanonicalizeHostname always\nCanonicalDomains example.invalid\nCanonicalizeFallbackLocal no\n")
    assert resolve(parse_address("gpu"), ssh_dir).host == "gpu"


def test_a_proxy_command_is_refused_in_clear_words(ssh_dir: Path) -> None:
    _write(ssh_dir, f"Host gpu\n ProxyCommand touch {ssh_dir}/mark\nHost free\n ProxyCommand none\n")
    with pytest.raises(RemoteError, match="ProxyCommand") as caught:
        resolve(parse_address("gpu"), ssh_dir)
    assert caught.value.code == "proxy_command_unsupported"
    assert resolve(parse_address("free"), ssh_dir).host == "free"


def test_proxy_jump_none_is_no_jump(ssh_dir: Path) -> None:
    _write(ssh_dir, "Host gpu\n ProxyJump none\nHost *\n ProxyJump hop\n")
    assert resolve(parse_address("gpu"), ssh_dir).jump is None


@pytest.mark.parametrize(
    "text", ["Nonsense\n", "Host gpu\n Port many\n", "Host 'gpu\n", "Match host 'gpu\n", "Include 'x\n"]
)
def test_a_file_that_cannot_be_read_is_named(ssh_dir: Path, text: str) -> None:
    """A broken line ends as one clear error that is not tried again."""
    _write(ssh_dir, text)
    with pytest.raises(RemoteError, match="config") as caught:
        resolve(parse_address("gpu"), ssh_dir)
    assert caught.value.code == "ssh_config_invalid"
    assert not caught.value.retried
    assert str(ssh_dir / "config") in caught.value.message


def test_a_directory_in_its_place_is_named(ssh_dir: Path) -> None:
    (ssh_dir / "config").mkdir()
    with pytest.raises(RemoteError, match="have a mistake"):
        resolve(parse_address("gpu"), ssh_dir)


def _write(ssh_dir: Path, text: str) -> None:
    (ssh_dir / "config").write_text(text)
