"""The user's own SSH keys: which there are, and a new one. Only public parts are ever read out or given away."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from app.domain.errors import InvalidRequest, KeyNotMade
from app.domain.hostkeys import fingerprint_of
from app.domain.limits import MAX_SSH_KEYS
from app.remote.agent import Agent, AgentError
from app.remote.key_files import UnusableKey, key_type_of, public_text, read_public_key
from app.remote.keys import DEFAULT_KEY_NAMES
from app.remote.ssh_config import AGENT_VARIABLE

DEFAULT_NAME = "id_ed25519"
COMMENT = "nodeferry"
_NAME = re.compile(r"id_[A-Za-z0-9_-]{1,60}\Z")
_AGENT_SECONDS = 2.0

WHERE_TO_PASTE: Sequence[Mapping[str, str]] = (
    {
        "provider": "vast.ai",
        "place": "Keys, SSH Keys, +New. It counts for machines rented from then on; for one that runs, use the SSH "
        "button of the instance.",
        "url": "https://cloud.vast.ai/manage-keys/",
    },
    {
        "provider": "RunPod",
        "place": "Credentials, SSH keys (before: Settings, SSH Public Keys). It counts for pods started from then on; "
        "for one that runs, append the line to ~/.ssh/authorized_keys in its web terminal.",
        "url": "https://console.runpod.io/",
    },
)
"""Where the providers' pages have their SSH keys, as their documentation of November 2026 says."""


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key of the user. `public_key` is the line for a provider's page; `path` is its file, None in an agent."""

    name: str
    key_type: str
    sha256: str
    public_key: str
    source: str
    """`file`, `agent`, or `public` for a .pub file whose private key is not here."""
    path: str | None
    used: bool
    """Whether a login tries it without being told: the usual names, and the agent's."""


class OwnKeys:
    """The keys in `ssh_dir` and of the agent. To be used from any thread."""

    def __init__(self, ssh_dir: Path | None = None, environ: Mapping[str, str] | None = None) -> None:
        """`ssh_dir`: the user's `~/.ssh`; `environ`: where the agent's socket is named."""
        self._ssh_dir = ssh_dir
        self._environ = os.environ if environ is None else environ

    @property
    def folder(self) -> Path:
        """The user's `~/.ssh`."""
        return self._ssh_dir or Path.home() / ".ssh"

    def list(self) -> list[OwnKey]:
        """Every key, those in files first; a key that is in a file and in the agent comes once."""
        found: dict[str, OwnKey] = {}
        for key in (*self._files(), *self._of_agent()):
            found.setdefault(key.sha256, key)
        return list(found.values())[:MAX_SSH_KEYS]

    def make(self, name: str = DEFAULT_NAME) -> OwnKey:
        """A new ed25519 key without a passphrase, in files of its own, for the user alone. Nothing is overwritten.

        Raises InvalidRequest for a name that no key should have, KeyNotMade (code `key_exists`, `too_many_ssh_keys`, or
        with the reason).
        """
        if not _NAME.match(name) or name.endswith("-cert"):
            raise InvalidRequest(
                "The name of a key begins with id_, followed by letters, digits, - or _.",
                hint=f"The usual name is {DEFAULT_NAME}.",
                field="name",
            )
        if len([*self.folder.glob("id_*.pub")]) >= MAX_SSH_KEYS:
            raise KeyNotMade(f"There are {MAX_SSH_KEYS} keys in {self.folder} already.", code="too_many_ssh_keys")
        path = self.folder / name
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + f" {COMMENT}\n".encode()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _new_file(path.with_name(f"{name}.pub"), public, 0o644), _new_file(path, private, 0o600):
                pass
        except FileExistsError as exc:
            raise KeyNotMade(
                f"There is a key of this name already: {exc.filename}. It was not touched.",
                code="key_exists",
                hint="Use that one: its public part is listed (run.py key list). Or choose another name.",
            ) from exc
        except OSError as exc:
            raise KeyNotMade(f"{exc.filename or self.folder} cannot be written: {exc.strerror}.") from exc
        return _own(name, read_public_key(path), "file", str(path), COMMENT)

    def _files(self) -> Iterator[OwnKey]:
        try:
            names = {path.name.removesuffix(".pub") for path in self.folder.iterdir() if path.name.endswith(".pub")}
        except OSError:
            return
        usual = [name for name in DEFAULT_KEY_NAMES if (self.folder / name).exists()]
        for name in dict.fromkeys([*usual, *sorted(names)[:MAX_SSH_KEYS]]):
            path = self.folder / name
            with contextlib.suppress(OSError, UnusableKey):
                source = "file" if path.is_file() else "public"
                yield _own(name, read_public_key(path), source, str(path))

    def _of_agent(self) -> Iterator[OwnKey]:
        socket = self._environ.get(AGENT_VARIABLE)
        if not socket:
            return
        try:
            agent = Agent(socket, _AGENT_SECONDS)
        except AgentError:
            return
        with contextlib.closing(agent), contextlib.suppress(AgentError):
            held = agent.keys()
            for key in held:
                yield _own(key.comment or "agent key", key.asbytes(), "agent", None, key.comment)


def _own(name: str, blob: bytes, source: str, path: str | None, comment: str = "") -> OwnKey:
    text = public_text(blob, comment)
    used = source == "agent" or (source == "file" and name in DEFAULT_KEY_NAMES)
    shown_name = "".join(character for character in name[:200] if character.isprintable())
    return OwnKey(shown_name, key_type_of(blob), fingerprint_of(text.split()[1]), text, source, path, used)


@contextlib.contextmanager
def _new_file(path: Path, content: bytes, mode: int) -> Iterator[None]:
    """A file that was not there before, on the disk; removed again when what follows fails. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
