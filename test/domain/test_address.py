"""Every pasted form of an address, and everything that must be refused before anything is run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.address import MAX_LENGTH, SshAddress, parse_address, parse_hop
from app.domain.errors import InvalidAddress


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("root@host -p 123", SshAddress("host", 123, "root")),
        ("ssh -p 123 root@host -L 8080:localhost:8080", SshAddress("host", 123, "root")),
        ("ssh://root@host:123", SshAddress("host", 123, "root")),
        ("ssh://root@host:123/", SshAddress("host", 123, "root")),
        ("root@host:123", SshAddress("host", 123, "root")),
        ("[2001:db8::1]:22", SshAddress("2001:db8::1", 22)),
        ("root@[2001:db8::1]", SshAddress("2001:db8::1", None, "root")),
        ("2001:db8::1", SshAddress("2001:db8::1")),
        ("fe80::1%eth0", SshAddress("fe80::1%eth0")),
        ("host", SshAddress("host")),
        ("my-gpu_box.2", SshAddress("my-gpu_box.2")),
        ("  root@host  ", SshAddress("host", None, "root")),
        ("ssh -p123 root@host", SshAddress("host", 123, "root")),
        ("ssh -oPort=123 root@host", SshAddress("host", 123, "root")),
        ("ssh -o Port=123 -o 'User root' host", SshAddress("host", 123, "root")),
        ("ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@host", SshAddress("host", None, "root")),
        ("ssh -l root host", SshAddress("host", None, "root")),
        ("ssh -NTp 123 root@host", SshAddress("host", 123, "root")),
        ("ssh -fNL 8080:localhost:8080 -D 1080 -R 1:h:2 -v -4 -C -q -t root@host", SshAddress("host", None, "root")),
        (
            "ssh root@1.2.3.4 -p 22022 -i ~/.ssh/id_ed25519",
            SshAddress("1.2.3.4", 22022, "root", ("~/.ssh/id_ed25519",)),
        ),
        ("ssh -i '/a key' -o IdentityFile=/b host", SshAddress("host", identity_files=("/a key", "/b"))),
        ("ssh -J me@jump:2200,other host", SshAddress("host", jump="me@jump:2200,other")),
        ("podid-64411234@ssh.runpod.io", SshAddress("ssh.runpod.io", None, "podid-64411234")),
        ("ssh ssh", SshAddress("ssh")),
    ],
)
def test_what_people_paste_is_understood(text: str, expected: SshAddress) -> None:
    """Each form says the same host, port, user, keys and jump host as ssh would take from it, and reads back."""
    address = parse_address(text)
    assert address == expected
    assert parse_address(str(address)) == address


def test_an_address_is_shown_in_one_form() -> None:
    """The canonical form can be pasted behind `ssh`."""
    assert str(parse_address("ssh://root@host:123")) == "root@host -p 123"
    assert str(parse_address("ssh -i '/a key' root@[::1]:22")) == "root@[::1] -p 22 -i '/a key'"


@pytest.mark.parametrize(
    "text",
    [
        "-oProxyCommand=touch /x host",
        "ssh -oProxyCommand=touch host",
        "ssh -o ProxyCommand=x host",
        "ssh -o 'ProxyCommand x' host",
        "ssh -o proxycommand=x host",
        "ssh -o LocalCommand=x -o PermitLocalCommand=yes host",
        "ssh -o PermitLocalCommand=yes host",
        "ssh -o KnownHostsCommand=x host",
        "ssh -o Include=/x host",
        "ssh -o PKCS11Provider=/x.so host",
        "ssh -o SecurityKeyProvider=/x.so host",
        "ssh -o XAuthLocation=/x host",
        "ssh -o ControlPath=/x host",
        "ssh -o Match=exec host",
        "ssh -F /x host",
        "ssh -S /x host",
        "ssh -E /x host",
        "ssh -I /x.so host",
        "ssh -w 0:0 host",
        "ssh -W a:1 host",
        "ssh -O stop host",
        "ssh -NF /x host",
        "ssh -Q key host",
        "ssh -Z host",
        "ssh -- host",
        "ssh --help",
        "-p 22 root@host",
        "-",
        "ssh -- -oProxyCommand=x",
        "root@-oProxyCommand=x",
        "ssh://-oProxyCommand=x",
        "ssh://-x@host",
        "ssh -l -oProxyCommand=x host",
        "ssh -J -oProxyCommand=x host",
        "ssh -i -x host",
        "ssh -i '$(x)' host",
    ],
)
def test_what_could_run_something_here_is_refused(text: str) -> None:
    """Neither an option nor a name can make this machine run or load anything."""
    _assert_refused(text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        b"root@host",
        ["root@host"],
        {"host": "x"},
        True,
        "",
        "   ",
        "ssh",
        "ssh -p 22",
        "root@",
        "@host",
        "root@ho\0st",
        "root@host\x1b[0m",
        "root@ho\u00a0st",
        "root@host\ud800",
        "a" * 10_240,
        "root@host -p 0",
        "root@host -p 65536",
        "root@host -p 99999999999",
        "root@host -p abc",
        "root@host -p ²",
        "root@host -p -1",
        "root@host -p",
        "root@host:",
        "root@host:path",
        "root@host:22:23",
        "root@host:22 -p 23",
        "root@host -p 22 -p 23",
        "ssh -l me root@host",
        "root@host;reboot",
        "root@$(reboot)",
        "root@`reboot`",
        "root@host|x",
        "root@host&",
        "ro;ot@host",
        "r$x@host",
        "root@ho*st",
        "root@a..b",
        "root@.host",
        "root:secret@host",
        "ssh://root:secret@host",
        "http://root@host",
        "ssh://root@host/path",
        "[2001:db8::1",
        "[host]:22",
        "[2001:db8::1]22",
        "2001:db8::zz",
        "fe80::1%eth 0",
        "root@'host",
        "ssh -J a,b,c,d,e host",
        "ssh -J a -J b host",
        "ssh -J '' host",
    ],
)
def test_what_is_no_address_is_refused(text: object) -> None:
    """Anything malformed is InvalidAddress naming the request's field."""
    _assert_refused(text)


def test_a_remote_command_is_refused_with_a_hint() -> None:
    """`ssh host command` is not run, and the hint says what to paste."""
    error = _assert_refused("ssh -p 22 root@host nvidia-smi -L")
    assert "remote command" in error.message
    assert "only the part" in error.hint


def test_a_password_is_not_repeated() -> None:
    """A pasted password does not come back in the message."""
    assert "hunter2" not in str(_assert_refused("ssh://root:hunter2@host"))


def test_a_hop_is_an_address_without_options() -> None:
    """Jump hosts are `user@host:port`."""
    assert parse_hop("me@jump:2200") == SshAddress("jump", 2200, "me")


_WORDS = st.sampled_from(
    [
        "ssh",
        "root@host",
        "-p",
        "22",
        "-p22",
        "-o",
        "Port=1",
        "-i",
        "~/k",
        "'a b'",
        "-J",
        "j:2",
        "[::1]:2",
        "::1",
        "ssh://h",
    ]
)


@given(
    st.one_of(st.text(max_size=60), st.lists(_WORDS, max_size=6).map(" ".join), st.binary(max_size=9), st.integers())
)
def test_any_text_is_an_address_or_invalid(text: object) -> None:
    """Nothing but InvalidAddress is ever raised, and what is accepted reads back from its own text."""
    try:
        address = parse_address(text)
    except InvalidAddress as exc:
        assert exc.field == "ssh_connection"
        assert exc.hint
        return
    assert parse_address(str(address)) == address


_NAMES = st.from_regex(r"[a-z0-9_][a-z0-9_-]{0,20}(\.[a-z0-9]{1,9}){0,3}", fullmatch=True)
_USERS = st.from_regex(r"[A-Za-z0-9_.][A-Za-z0-9_.+=@-]{0,20}", fullmatch=True)
_PATHS = st.from_regex(r"[~/a-z][~/a-zA-Z0-9_. \[\]#!é-]{0,30}", fullmatch=True).filter(str.isprintable)
_ADDRESSES = st.builds(
    SshAddress,
    host=st.one_of(_NAMES, st.ip_addresses().map(str)),
    port=st.none() | st.integers(1, 65535),
    user=st.none() | _USERS,
    identity_files=st.lists(_PATHS, max_size=3, unique=True).map(tuple),
    jump=st.none() | st.lists(_NAMES, min_size=1, max_size=3).map(",".join),
)


@settings(deadline=None, max_examples=50)
@given(_ADDRESSES)
def test_every_address_reads_back(address: SshAddress) -> None:
    """parse_address(str(address)) is the address."""
    assert parse_address(str(address)) == address


def test_the_longest_address_reads_back() -> None:
    """Quoting may make the text longer than what was pasted; what is accepted still fits."""
    address = parse_address(("ssh host -i " + "a\\ " * 400)[: MAX_LENGTH - 1].rstrip("\\ "))
    assert parse_address(str(address)) == address


def _assert_refused(text: object) -> InvalidAddress:
    with pytest.raises(InvalidAddress) as caught:
        parse_address(text)
    assert caught.value.field == "ssh_connection"
    assert caught.value.message
    assert caught.value.hint
    return caught.value
