"""The files of the user's `~/.ssh`: known_hosts, ssh_config and keys. Others may have written into them: a provider's
script, an Include."""

from __future__ import annotations

import base64
import functools
import tempfile
from pathlib import Path

from app.domain.address import SshAddress, parse_hop
from app.domain.errors import InvalidAddress, RemoteError
from app.domain.hostkeys import fingerprint_of
from app.remote import key_files, known_hosts, ssh_config
from app.remote.config_file import Local
from bench.fuzz.judge import Parser

_HOSTS = (("host", 22, None), ("2001:db8::1", 2222, None), ("gpu.example.com", 40022, None), ("x", 22, "Alias"))
_CONFIG_PROBLEMS = {"ssh_config_invalid", "proxy_command_unsupported"}


@functools.cache
def _folder() -> Path:
    """A folder of this process, in memory where there is such a place."""
    shared = Path("/dev/shm")
    where = tempfile.TemporaryDirectory(prefix="nf-fuzz-", dir=shared if shared.is_dir() else None)
    _kept.append(where)
    return Path(where.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def check_known_hosts(data: bytes) -> str | None:
    """Keys are whole keys, printable in every part that is shown."""
    path = _folder() / "known_hosts"
    path.write_bytes(data)
    for host, port, alias in _HOSTS:
        found = known_hosts.look_up([path], host, port, alias)
        for key in found.keys:
            blob = base64.b64decode(key.key_base64, validate=True)
            if key.sha256 != fingerprint_of(key.key_base64) or not blob:
                return f"{key!r} is no key"
            if not key.key_type.isascii() or not key.key_type.isprintable() or len(key.key_type) > 100:
                return f"the key type {key.key_type!r} is not clean"
        if not all(base64.b64decode(text, validate=True) for text in found.revoked):
            return f"{found.revoked!r} are no keys"
    return None


def check_ssh_config(data: bytes) -> str | None:
    """An endpoint that can be connected to and shown, or an error that names the file."""
    folder = _folder() / "ssh"
    folder.mkdir(exist_ok=True)
    (folder / "config").write_bytes(data)
    (folder / "more").write_bytes(data[: len(data) // 2])
    local = Local(folder.parent, "me", {"HOME": str(folder.parent), "NAME": "value"})
    for host in ("gpu", "other.example.com"):
        try:
            found = ssh_config.resolve(SshAddress(host), folder, local)
        except RemoteError as exc:
            if exc.code not in _CONFIG_PROBLEMS or not exc.message.isprintable():
                return f"{exc.code}: {exc.message!r}"
            continue
        wrong = _endpoint(found)
        if wrong:
            return wrong
    return None


def _endpoint(found: ssh_config.Endpoint) -> str | None:
    for what, text in (("host", found.host), ("user", found.user), ("alias", found.host_key_alias or "x")):
        if not text or not text.isprintable() or any(each.isspace() for each in text) or text.startswith("-"):
            return f"the {what} is {text!r}"
    if not 1 <= found.port <= 65_535:
        return f"the port is {found.port}"
    for hop in found.jump.split(",") if found.jump else ():
        try:
            parse_hop(hop)
        except InvalidAddress as exc:
            if not exc.message.isprintable():
                return f"{exc.message!r} is not clean"
    paths = (
        *found.config_identity_files,
        *found.certificate_files,
        *(found.known_hosts_files or ()),
        found.agent or "x",
    )
    return next(
        (f"the path {path!r} is none" for path in paths if path and not path.replace("\t", " ").isprintable()), None
    )


def check_keys(data: bytes) -> str | None:
    """A key that logs in, or a reason; never a part of a private key in words."""
    path = _folder() / "key"
    path.write_bytes(data)
    for read in (key_files.read_private_key, key_files.read_public_key):
        try:
            read(path)
        except key_files.UnusableKey as exc:
            if not str(exc).isprintable():
                return f"{exc!s} is not clean"
    certificate = key_files.certificate_in(path)
    if certificate is not None:
        key_files.certified_key(certificate.blob)
        if not certificate.key_type.isprintable():
            return f"the type {certificate.key_type!r} is not clean"
    blob = key_files.public_blob(data)
    if blob is not None:
        line = key_files.public_text(blob, data.decode("utf-8", "replace"))
        if not line.isprintable() or key_files.public_blob(line.encode()) != blob:
            return f"{line!r} is not that key's line"
    return None


_KNOWN_HOSTS_WORDS = (
    b"@revoked ", b"@cert-authority ", b"|1|", b"|2|", b"host", b"[host]:2222", b"[2001:db8::1]:2222", b"*.example.com",
    b"!", b",", b"ssh-ed25519 ", b"ssh-rsa ", b"AAAA", b"alias", b"sk-ssh-ed25519@openssh.com ", b"*a" * 50, b"?",
)  # fmt: skip
_CONFIG_WORDS = (
    b"Host ", b"Host *\n", b"Match ", b"Match all\n", b"Match final\n", b"Match exec id\n", b"Match host=gpu\n", b"!",
    b"Include ", b"Include config\n", b"Include *\n", b"Include more more more\n", b"HostName ", b"Port ", b"User ",
    b"ProxyJump ", b"ProxyCommand ", b"IdentityFile ", b"CertificateFile ", b"IdentityAgent ", b"UserKnownHostsFile ",
    b"GlobalKnownHostsFile ", b"HostKeyAlias ", b"PubkeyAcceptedAlgorithms ", b"StrictHostKeyChecking ", b"Tag ", b"%h",
    b"%C", b"%%", b"%d", b"${HOME}", b"${NO}", b"~/", b"~root", b"none", b"=", b'"', b"'", b"\\ ", b"*?*?", b"gpu",
)  # fmt: skip
_KEY_WORDS = (
    b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----", b"-----BEGIN RSA PRIVATE KEY-----",
    b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN EC PRIVATE KEY-----", b"-----BEGIN DSA PRIVATE KEY-----",
    b"Proc-Type: 4,ENCRYPTED\n", b"PuTTY-User-Key-File-3: ", b"ssh-ed25519 ", b"ssh-rsa ",
    b"sk-ssh-ed25519@openssh.com ", b"b3BlbnNzaC1rZXktdjE", b"AAAA", b"/////", b"ssh-ed25519-cert-v01@openssh.com ",
)  # fmt: skip

PARSERS = (
    Parser("known_hosts", check_known_hosts, _KNOWN_HOSTS_WORDS),
    Parser("ssh_config", check_ssh_config, _CONFIG_WORDS),
    Parser("keys", check_keys, _KEY_WORDS),
)
