"""Reads files that should hold a private key or a certificate, and says in words what is wrong with those that do not.

Nothing of a private key is ever in what is said.
"""

from __future__ import annotations

import base64
import copy
import io
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from app.small_files import KEY_BYTES, read_small

_BEGIN, _END = b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----"
CERTIFICATE_MARK = b"-cert-v01@openssh.com"
_PUBLIC_TYPES = (b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-")
_HARDWARE = b"sk-"
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of a key."""

    blob: bytes
    key_type: str
    path: Path

    def on(self, key: paramiko.PKey) -> paramiko.PKey:
        """`key` behind this certificate."""
        carrier = copy.copy(key)
        carrier.public_blob = paramiko.pkey.PublicBlob(self.key_type, self.blob)
        return carrier


class UnusableKey(Exception):
    """A file that no login can use. `public`: the public key's bytes, where an agent may have its private one."""

    def __init__(self, reason: str, public: bytes | None = None) -> None:
        """`reason`: what it is and what to do."""
        super().__init__(reason)
        self.public = public


class NeedsPassphrase(UnusableKey):
    """A private key that is encrypted."""


def read_private_key(path: Path) -> paramiko.PKey:
    """The private key in `path`: OpenSSH's format, PEM (PKCS1, SEC1) or PKCS8.

    Raises UnusableKey, FileNotFoundError.
    """
    data = _read(path)
    if data.startswith(b"PuTTY-User-Key-File"):
        raise UnusableKey(
            f"a key in PuTTY's format; convert it: puttygen {path} -O private-openssh -o {path.with_suffix('')} (or in "
            "PuTTYgen: Load, then Conversions, Export OpenSSH key)"
        )
    public = public_blob(data)
    if public is not None:
        private = path.with_suffix("") if path.suffix == ".pub" else "a file without .pub"
        raise UnusableKey(f"a public key, which cannot log in; name the private one ({private})", public)
    try:
        loaded = _load(data)
    except (TypeError, paramiko.PasswordRequiredException):
        raise NeedsPassphrase(
            f"needs a passphrase (add it to the SSH agent: ssh-add {path})", _public_beside(path, data)
        ) from None
    except (ValueError, UnsupportedAlgorithm, NotImplementedError):  # the last: a point of a curve that is compressed
        outside = _openssh_public(data)
        if outside is not None and outside[4:].startswith(_HARDWARE):
            raise UnusableKey(
                f"a key of a security key (FIDO); add it to the SSH agent, which asks the device: ssh-add {path}",
                outside,
            ) from None
        raise UnusableKey("not a readable private key") from None
    return _as_paramiko(loaded)


def _as_paramiko(loaded: object) -> paramiko.PKey:
    if isinstance(loaded, ed25519.Ed25519PrivateKey):
        # paramiko reads this kind from OpenSSH's own format only
        text = loaded.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii")
        return paramiko.Ed25519Key(file_obj=io.StringIO(text))
    if isinstance(loaded, rsa.RSAPrivateKey):
        return paramiko.RSAKey(key=loaded)
    if isinstance(loaded, ec.EllipticCurvePrivateKey) and loaded.curve.name in _CURVES:
        return paramiko.ECDSAKey(vals=(loaded, loaded.public_key()))
    kind = "a DSA key, which servers do not accept any more" if isinstance(loaded, dsa.DSAPrivateKey) else "not a key"
    raise UnusableKey(f"{kind}; make a new one: run.py key new")


def _load(data: bytes) -> object:
    begins = data.find(_BEGIN)
    if begins >= 0:
        if data.find(_END, begins) < 0:  # what reads it would look for the end from every beginning on
            raise ValueError("the end is missing")
        return load_ssh_private_key(data, None)
    return load_pem_private_key(data, None)


def read_certificate(path: Path) -> Certificate:
    """The certificate in `path`. Raises UnusableKey, FileNotFoundError."""
    blob = public_blob(_read(path))
    if blob is None or CERTIFICATE_MARK not in blob[:64]:
        raise UnusableKey("not a certificate")
    return Certificate(blob, key_type_of(blob), path)


def certificate_in(path: Path) -> Certificate | None:
    """The certificate in `path`; None where there is none."""
    try:
        return read_certificate(path)
    except (OSError, UnusableKey):
        return None


def certified_key(certificate: bytes) -> bytes | None:
    """The public key that a certificate is for; None when it cannot be read."""
    message = paramiko.Message(certificate)
    try:
        name = message.get_text().removesuffix(CERTIFICATE_MARK.decode())
        message.get_binary()  # the nonce
        key = paramiko.Message()
        if name.startswith("sk-"):
            name += "@openssh.com"
        key.add_string(name)
        for _ in range(_FIELDS[name.removesuffix("@openssh.com")]):
            key.add_string(message.get_binary())
    except (KeyError, UnicodeError, ValueError, paramiko.SSHException):
        return None
    return key.asbytes()


_FIELDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519": 2,
    "sk-ecdsa-sha2-nistp256": 3,
}
"""How many fields a public key of a type has."""


def public_blob(data: bytes) -> bytes | None:
    """The key in the text of a .pub file; None when it is none."""
    words = data.split(None, 2)
    if len(words) < 2 or not words[0].startswith(_PUBLIC_TYPES):
        return None
    try:
        blob = base64.b64decode(words[1], validate=True)
    except ValueError:
        return None
    length = int.from_bytes(blob[:4], "big")
    return blob if len(blob) > 4 + length and blob[4 : 4 + length] == words[0] else None


def key_type_of(blob: bytes) -> str:
    """The type that a public key's bytes begin with."""
    return blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii", "replace")


def _public_beside(path: Path, data: bytes) -> bytes | None:
    """The public part of a private key that cannot be read itself."""
    try:
        from_pub_file = public_blob(_read(path.with_name(path.name + ".pub")))
    except (OSError, UnusableKey):
        from_pub_file = None
    return from_pub_file or _openssh_public(data)


def _openssh_public(data: bytes) -> bytes | None:
    """The public key that stands unencrypted in OpenSSH's format."""
    body = data.partition(_BEGIN)[2].partition(_END)[0]
    try:
        message = paramiko.Message(base64.b64decode(b"".join(body.split()), validate=True))
        if message.get_bytes(15) != b"openssh-key-v1\0":
            return None
        for _ in range(3):
            message.get_binary()  # cipher, key derivation, its options
        message.get_int()
        return message.get_binary() or None
    except (ValueError, paramiko.SSHException):
        return None


def _read(path: Path) -> bytes:
    """Raises FileNotFoundError, UnusableKey."""
    try:
        return read_small(path, KEY_BYTES)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise UnusableKey(exc.strerror or "cannot be read") from exc


def read_public_key(path: Path) -> bytes:
    """The public key that belongs to the private one in `path`: of the .pub file beside it, or out of itself.

    Raises UnusableKey, OSError.
    """
    try:
        from_pub_file = public_blob(_read(path.with_name(path.name + ".pub")))
    except OSError:
        from_pub_file = None
    if from_pub_file is not None:
        return from_pub_file
    try:
        return read_private_key(path).asbytes()
    except UnusableKey as exc:
        if exc.public is None:
            raise
        return exc.public


def public_text(blob: bytes, comment: str = "") -> str:
    """The line of a public key as a .pub file has it, without its line break."""
    words = "".join(character for character in comment[:200] if character.isprintable()).strip()
    return f"{key_type_of(blob)} {base64.b64encode(blob).decode('ascii')} {words}".rstrip()
