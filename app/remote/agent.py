"""Speaks to an SSH agent: lists its keys and has it sign. Protocol: draft-miller-ssh-agent.

paramiko's own client knows only the agent of SSH_AUTH_SOCK, and signs for a certificate with another key of the agent.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

import paramiko

_REQUEST_IDENTITIES = 11
_IDENTITIES_ANSWER = 12
_SIGN_REQUEST = 13
_SIGN_RESPONSE = 14
_RSA_FLAGS = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}
_CERTIFICATE = "-cert-v01@openssh.com"
_MAX_ANSWER_BYTES = 256 * 1024
"""What OpenSSH's agent sends at most."""
_MAX_KEYS = 200


class AgentError(paramiko.SSHException):
    """The agent cannot be reached, or does not do what it was asked."""


class Agent:
    """One connection to the agent at `path`. For one thread at a time; `close` may be called from any."""

    def __init__(self, path: str, timeout: float) -> None:
        """Waits at most `timeout` seconds for each answer. Raises AgentError."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(max(0.1, timeout))
        try:
            self._socket.connect(path)
        except (OSError, ValueError) as exc:
            self._socket.close()
            reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
            raise AgentError(f"{path}: {reason}") from exc

    def keys(self) -> list[AgentKey]:
        """The keys and certificates that the agent offers, in its order. Raises AgentError."""
        answer = self._ask(struct.pack(">B", _REQUEST_IDENTITIES), _IDENTITIES_ANSWER)
        found: list[AgentKey] = []
        for _ in range(min(answer.get_int(), _MAX_KEYS)):
            blob, comment = answer.get_binary(), answer.get_binary()
            if not blob:
                break
            with contextlib.suppress(ValueError, UnicodeError):  # a key of a kind that nobody here can name
                found.append(AgentKey(self.sign, blob, blob, comment.decode("utf-8", "replace")))
        return found

    def sign(self, blob: bytes, data: bytes, flags: int) -> bytes:
        """A signature of `data` with the key `blob`. Raises AgentError, also when its owner declines."""
        request = paramiko.Message()
        request.add_byte(struct.pack(">B", _SIGN_REQUEST))
        request.add_string(blob)
        request.add_string(data)
        request.add_int(flags)
        return self._ask(request.asbytes(), _SIGN_RESPONSE).get_binary()

    def close(self) -> None:
        """Ends the connection; a thread that waits for an answer gets AgentError."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _ask(self, request: bytes, expected: int) -> paramiko.Message:
        try:
            self._socket.sendall(struct.pack(">I", len(request)) + request)
            size = struct.unpack(">I", self._read(4))[0]
            if not 1 <= size <= _MAX_ANSWER_BYTES:
                raise AgentError("it does not answer as an SSH agent")
            answer = self._read(size)
        except OSError as exc:
            raise AgentError(exc.strerror or str(exc)) from exc
        if answer[0] != expected:
            raise AgentError("it declined" if expected == _SIGN_RESPONSE else "it does not answer as an SSH agent")
        return paramiko.Message(answer[1:])

    def _read(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(count - len(parts))
            if not part:
                raise AgentError("it closed the connection")
            parts += part
        return bytes(parts)


class AgentKey(paramiko.PKey):
    """A key or a certificate of an agent, which signs for it."""

    public_blob = None

    def __init__(self, sign: Callable[[bytes, bytes, int], bytes], offered: bytes, signer: bytes, comment: str) -> None:
        """`offered`: the public key or certificate that the server sees; `signer`: the agent's key that signs.

        Raises ValueError for bytes that are no key.
        """
        length = struct.unpack(">I", offered[:4])[0] if len(offered) >= 4 else 0
        if not 1 <= length <= 100 or len(offered) <= 4 + length:
            raise ValueError("not a public key")
        self.comment = comment
        self.signer = signer
        self._name = offered[4 : 4 + length].decode("ascii")
        self._sign = sign
        self._offered = offered

    def with_certificate(self, certificate: bytes) -> AgentKey:
        """The same key behind a certificate of it from a file."""
        return AgentKey(self._sign, certificate, self.signer, self.comment)

    def asbytes(self) -> bytes:
        """What the server sees."""
        return self._offered

    def get_name(self) -> str:
        """The key's type, for example `ssh-ed25519`."""
        return self._name

    def can_sign(self) -> bool:
        """True."""
        return True

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:
        """The agent's signature. Raises AgentError."""
        flags = _RSA_FLAGS.get((algorithm or "").removesuffix(_CERTIFICATE), 0)
        return paramiko.Message(self._sign(self.signer, data, flags))
