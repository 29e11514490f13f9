"""The ways to log in: each prepares a home and says what is typed, and what comes of it.

`both`: ssh(1) logs in, and so does Nodeferry. `ours`: only Nodeferry does. `neither`: nobody does, and Nodeferry says
why. `named`: ssh logs in and Nodeferry does not, on purpose, and says so.
"""

from __future__ import annotations

import base64
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from test.remote.conftest import Sshd
from test.ssh.machine import USER, Account, Keys


@dataclass
class World:
    """What the rows share: servers, keys, agents (by name, their sockets)."""

    keys: Keys
    main: Sshd
    """Accepts `good_*` and certificates of `ca`."""
    inner: Sshd
    """Accepts `inner` only."""
    by_password: Sshd
    two_keys: Sshd
    sha256_only: Sshd
    hardened: Sshd
    open_to_all: Sshd | None
    agents: dict[str, Path] = field(default_factory=dict)

    def to(self, server: Sshd | None = None) -> str:
        """The words that lead to a server."""
        return f"-p {(server or self.main).port} {USER}@127.0.0.1"


Play = Callable[[Account, World], str]


@dataclass(frozen=True)
class Row:
    """One way to log in."""

    name: str
    outcome: str
    play: Play
    says: str = ""


ROWS: list[Row] = []


def row(name: str, outcome: str, says: str = "") -> Callable[[Play], Play]:
    def add(play: Play) -> Play:
        ROWS.append(Row(name, outcome, play, says))
        return play

    return add


# --- key files --------------------------------------------------------------------------------------------------------

for _kind in ("ed25519", "ecdsa", "rsa"):

    def _usual(account: Account, world: World, kind: str = _kind) -> str:
        account.keep(world.keys.folder / f"good_{kind}", f"id_{kind}")
        return f"ssh {world.to()}"

    ROWS.append(Row(f"the usual file, {_kind}", "both", _usual))

for _kind, _form in (("rsa", "pem"), ("rsa", "pkcs8"), ("ecdsa", "pem"), ("ecdsa", "pkcs8")):

    def _converted(account: Account, world: World, name: str = f"{_form}_{_kind}") -> str:
        return f"ssh -i {account.keep(world.keys.folder / name)} {world.to()}"

    ROWS.append(Row(f"{_kind} in {_form}", "both", _converted))


@row("ed25519 in PKCS8", "ours")
def _ed25519_pkcs8(account: Account, world: World) -> str:
    return f"ssh -i {account.keep(world.keys.folder / 'pkcs8_ed25519', public=False)} {world.to()}"


@row("a 0644 key file", "ours")
def _open_file(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_ed25519", "k").chmod(0o644)
    return f"ssh -i ~/.ssh/k {world.to()}"


@row("a key file in a folder with a space", "both")
def _space(account: Account, world: World) -> str:
    account.write("my keys/x", "")
    account.keep(world.keys.folder / "good_ed25519", "my keys/k")
    account.write("config", 'IdentityFile "~/.ssh/my keys/k"\n')
    return f"ssh {world.to()}"


@row("several IdentityFiles, the last is right", "both")
def _several(account: Account, world: World) -> str:
    for name in ("wrong0", "wrong1", "good_ed25519"):
        account.keep(world.keys.folder / name)
    account.write("config", "".join(f"IdentityFile ~/.ssh/{name}\n" for name in ("wrong0", "wrong1", "good_ed25519")))
    return f"ssh {world.to()}"


@row("more IdentityFiles than one connection allows", "ours")
def _many(account: Account, world: World) -> str:
    names = [*(f"wrong{number}" for number in range(8)), "good_ed25519"]
    account.write("config", "".join(f"IdentityFile {account.keep(world.keys.folder / name)}\n" for name in names))
    return f"ssh {world.to()}"


@row("a key with a passphrase", "neither", "needs a passphrase .*ssh-add")
def _passphrase(account: Account, world: World) -> str:
    return f"ssh -i {account.keep(world.keys.folder / 'locked')} {world.to()}"


@row("a key with a passphrase beside the usual one", "both")
def _passphrase_and_usual(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_ed25519", "id_ed25519")
    account.keep(world.keys.folder / "locked", "id_rsa")
    return f"ssh {world.to()}"


@row("the public key given as the key", "neither", "a public key, which cannot log in; name the private one")
def _public(account: Account, world: World) -> str:
    shutil.copy(world.keys.folder / "good_ed25519.pub", account.ssh_dir / "k.pub")
    (account.ssh_dir / "k.pub").chmod(0o600)
    return f"ssh -i ~/.ssh/k.pub {world.to()}"


@row("a key of PuTTY", "neither", r"PuTTY's format; convert it: puttygen .*k\.ppk -O private-openssh")
def _ppk(account: Account, world: World) -> str:
    account.write("k.ppk", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n")
    return f"ssh -i ~/.ssh/k.ppk {world.to()}"


@row("a key of a security key", "neither", r"security key \(FIDO\).*ssh-add")
def _hardware(account: Account, world: World) -> str:
    account.write("id_ed25519_sk", HARDWARE_KEY)
    return f"ssh -i ~/.ssh/id_ed25519_sk {world.to()}"


@row("no key at all", "neither", "no SSH key .*key new")
def _none(account: Account, world: World) -> str:
    return f"ssh {world.to()}"


# --- agents -----------------------------------------------------------------------------------------------------------


@row("agent of SSH_AUTH_SOCK", "both")
def _agent(account: Account, world: World) -> str:
    account.environ["SSH_AUTH_SOCK"] = str(world.agents["good"])
    return f"ssh {world.to()}"


@row("agent with eight wrong keys before the right one", "ours")
def _agent_many(account: Account, world: World) -> str:
    account.environ["SSH_AUTH_SOCK"] = str(world.agents["many"])
    return f"ssh {world.to()}"


@row("that agent, with IdentitiesOnly and the public key as IdentityFile", "both")
def _agent_chosen(account: Account, world: World) -> str:
    account.environ["SSH_AUTH_SOCK"] = str(world.agents["many"])
    shutil.copy(world.keys.folder / "good_ed25519.pub", account.ssh_dir / "chosen.pub")
    account.write("config", "Host 127.0.0.1\n  IdentitiesOnly yes\n  IdentityFile ~/.ssh/chosen.pub\n")
    return f"ssh {world.to()}"


@row("that agent, with a private key that is only in the agent", "both")
def _agent_missing_file(account: Account, world: World) -> str:
    account.environ["SSH_AUTH_SOCK"] = str(world.agents["many"])
    shutil.copy(world.keys.folder / "good_ed25519.pub", account.ssh_dir / "chosen.pub")
    account.write("config", "IdentitiesOnly yes\nIdentityFile ~/.ssh/chosen\n")
    return f"ssh {world.to()}"


@row("IdentityFile in the folder, agent with wrong keys", "both")
def _agent_and_file(account: Account, world: World) -> str:
    account.environ["SSH_AUTH_SOCK"] = str(world.agents["wrong"])
    account.keep(world.keys.folder / "good_ed25519", "id_ed25519")
    return f"ssh -o IdentitiesOnly=yes -i ~/.ssh/id_ed25519 {world.to()}"


@row("a locked file whose key the agent has", "both")
def _agent_locked(account: Account, world: World) -> str:
    account.environ["SSH_AUTH_SOCK"] = str(world.agents["locked"])
    key = account.keep(world.keys.folder / "locked", public=False)
    return f"ssh -o IdentitiesOnly=yes -i {key} {world.to()}"


_AGENTS = {
    "a path": "{socket}",
    "a path in quotes": '"{socket}"',
    "SSH_AUTH_SOCK": "SSH_AUTH_SOCK",
    "a variable": "$MY_AGENT",
    "a variable in braces": "${{MY_AGENT}}",
    "~": "~/.ssh/agent.sock",
    "%d": "%d/.ssh/agent.sock",
    "a folder with a space": '"~/.ssh/Group Containers/agent.sock"',
}
for _name, _value in _AGENTS.items():

    def _identity_agent(account: Account, world: World, value: str = _value) -> str:
        socket = world.agents["good"]
        account.environ["MY_AGENT"] = str(socket)
        account.environ["SSH_AUTH_SOCK"] = str(world.agents["good" if value == "SSH_AUTH_SOCK" else "wrong"])
        (account.ssh_dir / "Group Containers").mkdir()
        for link in ("agent.sock", "Group Containers/agent.sock"):
            (account.ssh_dir / link).symlink_to(socket)
        account.write("config", f"Host *\n  IdentityAgent {value.format(socket=socket)}\n")
        return f"ssh {world.to()}"

    ROWS.append(Row(f"IdentityAgent: {_name}", "both", _identity_agent))


@row("IdentityAgent none", "neither", "no SSH key")
def _agent_none(account: Account, world: World) -> str:
    account.environ["SSH_AUTH_SOCK"] = str(world.agents["good"])
    account.write("config", "IdentityAgent none\n")
    return f"ssh {world.to()}"


@row("IdentityAgent of a password manager that is closed", "neither", "SSH agent: .*closed.sock: No such file")
def _agent_closed(account: Account, world: World) -> str:
    account.write("config", "IdentityAgent ~/closed.sock\n")
    return f"ssh {world.to()}"


@row("AddKeysToAgent", "both")
def _add_keys(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_ed25519", "id_ed25519")
    account.environ["SSH_AUTH_SOCK"] = str(world.agents["wrong"])
    account.write("config", "AddKeysToAgent no\n")
    return f"ssh {world.to()}"


# --- certificates -----------------------------------------------------------------------------------------------------

for _kind in ("ed25519", "ecdsa", "rsa"):

    def _certificate(account: Account, world: World, kind: str = _kind) -> str:
        account.keep(world.keys.folder / f"signed_{kind}", f"id_{kind}")
        return f"ssh {world.to()}"

    ROWS.append(Row(f"a certificate beside the key, {_kind}", "both", _certificate))


@row("a certificate that the server refuses, beside a key that it accepts", "both")
def _refused_certificate(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_refused", "id_ed25519")
    return f"ssh {world.to()}"


@row("an expired certificate beside a key that it accepts", "both")
def _expired(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_expired", "id_ed25519")
    return f"ssh {world.to()}"


@row("CertificateFile", "both")
def _certificate_file(account: Account, world: World) -> str:
    key = account.keep(world.keys.folder / "signed_ed25519", "id", public=False)
    shutil.copy(world.keys.folder / "signed_ed25519-cert.pub", account.ssh_dir / "elsewhere.pub")
    account.write("config", f"IdentityFile {key}\nCertificateFile ~/.ssh/elsewhere.pub\n")
    return f"ssh {world.to()}"


@row("CertificateFile with tokens", "both")
def _certificate_tokens(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "signed_rsa", "k", public=False)
    shutil.copy(world.keys.folder / "signed_rsa-cert.pub", account.ssh_dir / f"{USER}@127.0.0.1-{world.main.port}.pub")
    account.write("config", "IdentityFile ~/.ssh/k\nCertificateFile %d/.ssh/%r@%h-%p.pub\n")
    return f"ssh {world.to()}"


for _kind in ("ed25519", "rsa"):

    def _agent_certificate(account: Account, world: World, kind: str = _kind) -> str:
        account.environ["SSH_AUTH_SOCK"] = str(world.agents[f"signed_{kind}"])
        return f"ssh {world.to()}"

    def _agent_certificate_only(account: Account, world: World, kind: str = _kind) -> str:
        account.environ["SSH_AUTH_SOCK"] = str(world.agents[f"only_{kind}"])
        return f"ssh {world.to()}"

    def _agent_and_file_certificate(account: Account, world: World, kind: str = _kind) -> str:
        account.environ["SSH_AUTH_SOCK"] = str(world.agents[f"unsigned_{kind}"])
        shutil.copy(world.keys.folder / f"signed_{kind}-cert.pub", account.ssh_dir / "c-cert.pub")
        account.write("config", "CertificateFile ~/.ssh/c-cert.pub\n")
        return f"ssh {world.to()}"

    ROWS.append(Row(f"an agent with key and certificate, {_kind}", "both", _agent_certificate))
    ROWS.append(Row(f"an agent with only the certificate, {_kind}", "both", _agent_certificate_only))
    ROWS.append(Row(f"the key in an agent, CertificateFile, {_kind}", "both", _agent_and_file_certificate))


@row("a certificate whose key is not there", "neither", "a certificate whose private key is not there")
def _certificate_alone(account: Account, world: World) -> str:
    shutil.copy(world.keys.folder / "signed_ed25519-cert.pub", account.ssh_dir / "c-cert.pub")
    account.write("config", "CertificateFile ~/.ssh/c-cert.pub\n")
    return f"ssh {world.to()}"


@row("the server knows rsa-sha2-256 only, and PubkeyAcceptedAlgorithms says so", "both")
def _sha256(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_rsa", "id_rsa")
    account.write("config", "PubkeyAcceptedAlgorithms rsa-sha2-256\n")
    return f"ssh {world.to(world.sha256_only)}"


@row("PubkeyAcceptedAlgorithms and PreferredAuthentications", "both")
def _accepted(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_rsa", "id_rsa")
    account.write("config", "PubkeyAcceptedAlgorithms -ecdsa*\nPreferredAuthentications publickey\n")
    return f"ssh {world.to()}"


@row("a server that wants two keys", "both")
def _two(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_ed25519", "id_ed25519")
    account.keep(world.keys.folder / "good_rsa", "id_rsa")
    return f"ssh {world.to(world.two_keys)}"


@row("a server that takes passwords only", "neither", "login by password.*not by SSH key")
def _password(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_ed25519", "id_ed25519")
    return f"ssh {world.to(world.by_password)}"


@row("a server that knows curve25519-sha256 and authenticated ciphers only", "both")
def _hardened(account: Account, world: World) -> str:
    account.keep(world.keys.folder / "good_ed25519", "id_ed25519")
    return f"ssh {world.to(world.hardened)}"


for _name in ("nothing", "wrong0"):

    def _open_to_all(account: Account, world: World, name: str = _name) -> str:
        if name != "nothing":
            account.keep(world.keys.folder / name, "id_ed25519")
        if world.open_to_all is None:  # only root can play it
            account.keep(world.keys.folder / "good_ed25519", "id_ecdsa")
        return f"ssh {world.to(world.open_to_all)}"

    ROWS.append(Row(f"a server that asks for no key, with {_name}", "both", _open_to_all))


def _hardware_key() -> str:
    """OpenSSH's file of a key that is in a security key: the public part, and a handle for the device."""

    def field(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    kind, public = b"sk-ssh-ed25519@openssh.com", bytes(range(32))
    body = field(kind) + field(public) + field(b"ssh:")
    private = b"\1" * 8 + body + b"\1" + field(b"handle") + field(b"") + field(b"comment")
    private += bytes(range(1, 1 + -len(private) % 8))
    blob = b"openssh-key-v1\0" + field(b"none") + field(b"none") + field(b"") + struct.pack(">I", 1)
    text = base64.b64encode(blob + field(body) + field(private)).decode()
    lines = "\n".join(text[at : at + 70] for at in range(0, len(text), 70))
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}\n-----END OPENSSH PRIVATE KEY-----\n"


HARDWARE_KEY = _hardware_key()
