"""Every way to log in that ssh(1) manages with the same files works here."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form

from app.standin.dropbear import unshared
from test.remote.conftest import SSHD
from test.ssh import config_rows
from test.ssh.machine import Account, Keys, agent, server
from test.ssh.rows import ROWS, Row, World

pytestmark = pytest.mark.sshd
assert config_rows.PIPE
_AT_ONCE = 12
_HARDENED = (
    "KexAlgorithms curve25519-sha256",
    "Ciphers aes256-gcm@openssh.com",
    "MACs hmac-sha2-512-etm@openssh.com",
    "HostKeyAlgorithms ssh-ed25519",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if SSHD is None:
        pytest.skip("needs sshd (`make system-deps`)")
    folder = tmp_path_factory.mktemp("ssh")
    (folder / "keys").mkdir()
    keys = Keys(folder / "keys")
    authorized = _make_keys(keys)
    options = f"TrustedUserCAKeys {keys.key('ca').with_suffix('.pub')}"
    with ExitStack() as stack:
        made = World(
            keys,
            main=stack.enter_context(server(folder / "main", authorized, options)),
            inner=stack.enter_context(server(folder / "inner", [keys.public("inner")])),
            by_password=stack.enter_context(
                server(folder / "password", [], "PubkeyAuthentication no", "PasswordAuthentication yes")
            ),
            two_keys=stack.enter_context(
                server(folder / "two", authorized, "AuthenticationMethods publickey,publickey")
            ),
            sha256_only=stack.enter_context(
                server(folder / "sha256", authorized, "PubkeyAcceptedAlgorithms rsa-sha2-256")
            ),
            hardened=stack.enter_context(server(folder / "hardened", authorized, *_HARDENED)),
            open_to_all=stack.enter_context(server(folder / "open", [], open_to_all=True))
            if os.geteuid() == 0 and unshared()
            else None,
        )
        for name, held in _agents(keys).items():
            made.agents[name] = stack.enter_context(agent(*held[0], without=held[1]))
        yield made


def _make_keys(keys: Keys) -> list[str]:
    """Makes all keys; the lines of the public ones that servers accept."""
    good = [keys.key(f"good_{kind}", kind).name for kind in ("ed25519", "ecdsa", "rsa")]
    forms = [(kind, name) for kind in ("rsa", "ecdsa") for name in ("PEM", "PKCS8")]
    good += [keys.converted(f"{name.lower()}_{kind}", kind, name).name for kind, name in forms]
    good.append(_pkcs8_ed25519(keys).name)
    good.append(keys.key("locked", passphrase="secret").name)
    good.append(keys.signed("good_refused", "bad_ca").name)
    good.append(keys.signed("good_expired", "ca", "ed25519", "-V", "-2d:-1d").name)
    for kind in ("ed25519", "ecdsa", "rsa"):
        keys.signed(f"signed_{kind}", "ca", kind)
    for name in ("inner", *(f"wrong{number}" for number in range(8))):
        keys.key(name)
    return [keys.public(name) for name in good]


def _agents(keys: Keys) -> dict[str, tuple[list[Path], tuple[Path, ...]]]:
    """What each agent holds, and what is taken out of it again."""
    wrong = [keys.key(f"wrong{number}") for number in range(8)]
    good = keys.key("good_ed25519")
    found: dict[str, tuple[list[Path], tuple[Path, ...]]] = {
        "good": ([good], ()),
        "wrong": (wrong[:2], ()),
        "many": ([*wrong, good], ()),
        "locked": ([_unlocked(keys)], ()),
    }
    for kind in ("ed25519", "rsa"):
        signed = keys.key(f"signed_{kind}", kind)
        alone = _copy(signed, keys.folder / f"alone_{kind}", "", ".pub")
        found |= {
            f"signed_{kind}": ([signed], ()),
            f"only_{kind}": ([signed], (alone.with_suffix(".pub"),)),
            f"unsigned_{kind}": ([alone], ()),
        }
    return found


def _copy(key: Path, target: Path, *endings: str) -> Path:
    for ending in endings:
        copy = target.with_name(target.name + ending)
        copy.write_bytes(key.with_name(key.name + ending).read_bytes())
        copy.chmod(0o600)
    return target


def _unlocked(keys: Keys) -> Path:
    """`locked` without its passphrase."""
    key = _copy(keys.folder / "locked", keys.folder / "unlocked", "", ".pub")
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "secret", "-N", "", "-f", str(key)], check=True, capture_output=True
    )
    return key


def _pkcs8_ed25519(keys: Keys) -> Path:
    """A format that ssh-keygen does not write for this kind, and other programs do."""
    key = keys.key("pkcs8_ed25519")
    loaded = form.load_ssh_private_key(key.read_bytes(), None)
    key.write_bytes(loaded.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    return key


def _play(row: Row, world: World, folder: Path) -> str:
    """Empty when the row comes out as it should, else what is wrong."""
    account = Account(folder)
    account.ssh_dir.mkdir(parents=True, mode=0o700)
    text = row.play(account, world)
    # The first contact is accepted, as Nodeferry does; the host keys of hops too.
    config = account.ssh_dir / "config"
    before = config.read_text() if config.exists() else ""
    if "StrictHostKeyChecking" not in before:
        account.write("config", before + "\nMatch all\n StrictHostKeyChecking accept-new\n")
    ours = account.connect(text)
    words = [word.replace("~", str(account.home)) if word.startswith("~/") else word for word in shlex.split(text)[1:]]
    remote = [] if "RemoteCommand" in before else ["true"]
    theirs = account.ssh([*words, *remote])
    seen = {(True, True): "both", (False, True): "ours", (False, False): "neither", (True, False): "named"}[
        theirs.returncode == 0, not ours
    ]
    if seen != row.outcome or (row.says and not re.search(row.says, ours)):
        return f"{row.name}: {seen}, not {row.outcome}; we say: {ours!r}; ssh: {theirs.stderr.decode()[-400:]!r}"
    return ""


@pytest.fixture
def homes() -> Iterator[Path]:
    """A folder with a short name: the path of a socket may have 107 bytes, and some rows put one deep in a home."""
    with tempfile.TemporaryDirectory(prefix="nf") as folder:
        yield Path(folder)


def test_where_ssh_logs_in_so_do_we(world: World, homes: Path) -> None:
    """Each row with both programs, on the same servers; what would run a program here is named, and nothing else."""
    if not unshared():
        pytest.skip("needs mounts of its own: ssh(1) does not go by HOME")
    assert len({row.name for row in ROWS}) == len(ROWS) >= 100
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        played = pool.map(lambda pair: _play(pair[1], world, homes / str(pair[0])), enumerate(ROWS))
        wrong = [told for told in played if told]
    assert not wrong, "\n".join(wrong)
    assert [row.name for row in ROWS if row.outcome == "named"] == [
        "config: Match exec that a login depends on",
        "config: ProxyCommand",
    ]
