"""SSH addresses as people paste them: a command, a URL, `user@host:port` or an alias of `~/.ssh/config`.

Nothing here reads a file or asks a name server. Options are those of ssh(1); what could run or load something on this
machine is refused.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from app.domain.copy_commands import PROGRAMS, as_ssh
from app.domain.errors import InvalidAddress
from app.domain.host_port import bracketed
from app.domain.pasted import MAX_PASTED, one_line

FIELD = "ssh_connection"
MAX_LENGTH = 1000
MAX_JUMPS = 4

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.))*\Z")
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+=@-]{0,127}\Z")
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,32}\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")
_PATH_REFUSED = re.compile(r"^-|[\\'\"`$;&|<>*?]")

_WINDOWS_PATH = re.compile(r"(?:^|[\s\"'=])[A-Za-z]:[\\/](?!/)|%[A-Z]+%|\$env:", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"<[^<>]*>|\{[^{}]*\}(?!/)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=(?!.*@)")
_BEFORE_A_COMMAND = frozenset({"sudo", "exec", "command", "time", "env", "nohup", "!"})
_WITH_ITS_SSH = "Nodeferry logs in by itself: paste the plain ssh command, with host, port and key."
_OTHER_PROGRAMS = {
    **dict.fromkeys(("putty", "plink", "pscp", "kitty"), "Write it as: ssh -p PORT -i KEY user@host (KEY converted)."),
    **dict.fromkeys(
        ("gcloud", "kubectl", "docker", "vastai", "runpodctl", "tsh", "aws", "az", "curl", "wget"), _WITH_ITS_SSH
    ),
    **dict.fromkeys(("mosh", "autossh", "et", "telnet", "ftp", "ssh-copy-id", "ssh-keygen", "ssh-add"), _WITH_ITS_SSH),
    "sshpass": "Nodeferry logs in with keys only, not with a password: paste the ssh command behind it.",
}

_PERCENT = re.compile(r"%([2-7][0-9A-Fa-f])(?=[^\[\]]*@)")
"""What a URL's user may have instead of a character."""

_FLAGS_IGNORED = frozenset("46AaCfgKkNnqTtvXxYy")
_ARGUMENTS_IGNORED = frozenset("bBcDeLmR")
_OPTIONS_IGNORED = frozenset(
    """
    AddKeysToAgent AddressFamily BatchMode CheckHostIP Ciphers ClearAllForwardings Compression ConnectionAttempts
    ConnectTimeout ControlMaster ControlPersist DynamicForward EscapeChar ExitOnForwardFailure FingerprintHash
    ForwardAgent ForwardX11 ForwardX11Trusted GatewayPorts GlobalKnownHostsFile GSSAPIAuthentication
    GSSAPIDelegateCredentials HashKnownHosts HostbasedAuthentication HostKeyAlgorithms IdentitiesOnly IPQoS
    KbdInteractiveAuthentication KexAlgorithms LocalForward LogLevel MACs NumberOfPasswordPrompts
    PasswordAuthentication PreferredAuthentications PubkeyAcceptedAlgorithms PubkeyAcceptedKeyTypes
    PubkeyAuthentication RekeyLimit RemoteForward RequestTTY SendEnv ServerAliveCountMax ServerAliveInterval
    SessionType SetEnv StrictHostKeyChecking TCPKeepAlive UpdateHostKeys UserKnownHostsFile VisualHostKey
    """.lower().split()
)


@dataclass(frozen=True, slots=True)
class SshAddress:
    """Where an instance is, as typed. None means: the one of `~/.ssh/config`, else port 22 and user root.

    `host` is a name, an alias or an IP address (IPv6 without brackets); `identity_files` are paths as typed (`~` kept);
    `jump` is a comma-separated list of `user@host:port`, the first one reached first, as ssh's `-J`.
    """

    host: str
    port: int | None = None
    user: str | None = None
    identity_files: tuple[str, ...] = ()
    jump: str | None = None

    def __str__(self) -> str:
        """`user@host -p port -i KEY -J JUMP`, without what is not given; `parse_address` reads it back.

        Without a user `ssh` stands first: the host may have a program's name."""
        host = bracketed(self.host)
        destination = f"{self.user}@{host}" if self.user else host
        port = [f"-p {self.port}"] if self.port is not None else []
        keys = [f"-i {_quoted(path)}" for path in self.identity_files]
        jump = [f"-J {_quoted(self.jump)}"] if self.jump else []
        text = " ".join([destination, *port, *keys, *jump])
        return text if self.user else f"ssh {text}"


def _quoted(word: str) -> str:
    """For a shell, and so that a comma at the end is not taken for the sentence's."""
    quoted = shlex.quote(word)
    return f"'{word}'" if quoted == word and word[-1] in ",;." else quoted


def parse_address(text: object) -> SshAddress:
    """The address in `text`, in any form of docs/api.md. Raises only InvalidAddress (field `ssh_connection`)."""
    return _parsed(text) if isinstance(text, str) and len(text) <= MAX_LENGTH else _parse(text)


def _parse(text: object) -> SshAddress:
    words, is_command = _command_of(_split_address(text))
    if words and words[0].startswith("-") and not is_command:
        raise _invalid("The SSH address begins with '-'; begin with 'ssh' or with the host.")
    found = _Parsed()
    _read_words(words if is_command else _without_port_word(words), found)
    if found.host is None:
        raise _invalid("The SSH address names no host.")
    address = SshAddress(found.host, found.port, found.user, tuple(dict.fromkeys(found.identity_files)), found.jump)
    if len(str(address)) > MAX_LENGTH:
        raise _invalid(f"The SSH address is longer than {MAX_LENGTH} characters.")
    return address


_parsed = lru_cache(maxsize=4096)(_parse)
"""A fleet's addresses are read when they come, when they are compared and when its installs go on after a restart."""


def undecorated(text: str) -> str:
    """The address in `text` (one that can be read) as it was written, without what a chat, a document or a terminal has
    put around it."""
    line = one_line(text)
    if line == text:
        return text
    try:
        return line if parse_address(line) == parse_address(text) else text
    except InvalidAddress:
        return text


def parse_hop(text: str) -> SshAddress:
    """One jump host, `[user@]host[:port]` or `ssh://…`. Raises InvalidAddress."""
    found = _Parsed()
    return SshAddress(_read_destination(text.strip(), found), found.port, found.user)


@dataclass(slots=True)
class _Parsed:
    """What the words of one address have said so far."""

    host: str | None = None
    port: int | None = None
    user: str | None = None
    jump: str | None = None
    identity_files: list[str] = field(default_factory=list)


def _invalid(message: str, hint: str = "") -> InvalidAddress:
    return InvalidAddress(message, hint=hint, field=FIELD)


def _split_address(text: object) -> list[str]:
    """The words of `text` as a shell would see them, without expanding anything."""
    if not isinstance(text, str):
        raise _invalid("The SSH address must be text.")
    line = one_line(text) if len(text) <= MAX_PASTED else text
    if len(line) > MAX_LENGTH:
        raise _invalid(f"The SSH address is longer than {MAX_LENGTH} characters.")
    if not line.isprintable():
        raise _invalid("The SSH address has a control character in it.")
    if _WINDOWS_PATH.search(line):
        raise _invalid(
            "The SSH address has a path of Windows in it.", "In WSL, C:\\Users\\you is /mnt/c/Users/you: write it so."
        )
    if _PLACEHOLDER.search(line):
        raise _invalid(
            "The SSH address still has a placeholder in <…> or {…} in it.",
            "Put the real value there, without brackets.",
        )
    try:
        words = shlex.split(line)
    except ValueError as exc:
        raise _invalid("The SSH address has a quotation mark that is not closed.") from exc
    if not words:
        raise _invalid("The SSH address is empty.")
    return words


def _command_of(words: list[str]) -> tuple[list[str], bool]:
    """The words behind `ssh`, and whether there was one; those of scp, sftp and rsync as ssh has them."""
    words = list(words)
    while len(words) > 1 and (words[0] in _BEFORE_A_COMMAND or _VARIABLE.match(words[0])):
        words.pop(0)
    program = words[0].rpartition("/")[2].lower().removesuffix(".exe")
    if "://" in words[0] and not words[0].startswith("ssh://") and program not in PROGRAMS:
        raise _invalid(
            "This is a web address, not an SSH one.",
            "Copy the SSH command: on vast.ai the key symbol of the instance, on RunPod Connect, SSH over exposed TCP.",
        )
    if program in _OTHER_PROGRAMS:
        raise _invalid(f"This is a command of {program}, not of ssh.", _OTHER_PROGRAMS[program])
    if program in PROGRAMS and len(words) > 1:
        try:
            copied = as_ssh([program, *words[1:]])
        except ValueError as exc:
            raise _invalid("The SSH address has a quotation mark that is not closed.") from exc
        if copied is None:
            raise _invalid(f"The {program} command does not name one machine.", "Paste the SSH command instead.")
        return copied, True
    return (words[1:], True) if program == "ssh" else (words, False)


def _without_port_word(words: list[str]) -> list[str]:
    """`HOST PORT`, `HOST port PORT` and `USER HOST PORT`-like lists, which people copy from tables, as options."""
    if len(words) == 3 and words[1].lower().rstrip(":=") in ("port", "-p"):
        words = [words[0].rstrip(","), words[2]]
    if len(words) == 2 and _PORT.match(words[1]) and not words[0].startswith("-"):
        return [words[0].rstrip(","), "-p", words[1]]
    return words


def _read_words(words: list[str], found: _Parsed) -> None:
    waiting = iter(words)
    for word in waiting:
        if word.startswith("-") and len(word) > 1:
            _read_options(word[1:], lambda flag: _next_word(waiting, flag), found)
        elif found.host is None:
            found.host = _read_destination(word, found)
        else:
            raise _behind_the_host(word)


def _behind_the_host(word: str) -> InvalidAddress:
    if word == "ssh":
        return _invalid("There are two SSH commands.", "Paste one of them: the direct one where there are both.")
    if _PORT.match(word):
        return _invalid("There is a number behind the host of the SSH command.", f"A port is written: -p {word}")
    return _invalid(
        "The SSH command has a remote command behind the host.",
        "Paste only the part that logs in to the instance, in one line.",
    )


def _next_word(waiting: Iterator[str], flag: str) -> str:
    word = next(waiting, None)
    if word is None:
        raise _invalid(f"The option -{flag} of the SSH command lacks its value.")
    return word


def _read_options(cluster: str, next_word: Callable[[str], str], found: _Parsed) -> None:
    """One word of options without its dash, as getopt reads it: `NT`, `p123`, `NL 8080:…`."""
    for at, flag in enumerate(cluster):
        if flag in _FLAGS_IGNORED:
            continue
        if flag not in _ARGUMENTS_IGNORED and flag not in _READERS:
            raise _refused(f"-{flag}")
        value = cluster[at + 1 :] or next_word(flag)
        if flag in _READERS:
            _READERS[flag](value, found)
        return


def _refused(option: str) -> InvalidAddress:
    hint = "Leave it out: options that could run or load something on this machine are refused."
    if option.lower().endswith(("proxycommand", "proxyusefdpass")):
        hint = (
            "Nodeferry runs no program on this machine. Name the machine in between instead: -J USER@HOST:PORT in the "
            "command, or ProxyJump in ~/.ssh/config."
        )
    return _invalid(f"The option {option} of the SSH command is not accepted.", hint)


def _read_destination(word: str, found: _Parsed) -> str:
    """The host of `[user@]host[:port]`, `[user@][v6]:port`, bare IPv6 or an ssh:// URL; the rest goes to `found`."""
    if word.startswith("ssh://"):
        word = word.removeprefix("ssh://").removesuffix("/")
        word = _PERCENT.sub(lambda match: chr(int(match[1], 16)), word)
    user, at, rest = word.rpartition("@")
    if at:
        _set_user(user, found)
    host, port = _split_port(rest)
    if port is not None:
        _set_port(port, found)
    return _checked_host(host)


def _split_port(rest: str) -> tuple[str, str | None]:
    if rest.startswith("["):
        host, closed, behind = rest[1:].partition("]")
        if not closed or (behind and not behind.startswith(":")) or ":" not in host:
            raise _invalid("The IPv6 address of the SSH address is not closed by ']' or not followed by ':port'.")
        return host, behind[1:] if behind else None
    if rest.count(":") > 1:
        return rest, None
    host, colon, port = rest.partition(":")
    return host, port if colon else None


def _checked_host(host: str) -> str:
    if ":" in host:
        address, percent, zone = host.partition("%")
        try:
            ipaddress.IPv6Address(address)
        except ValueError as exc:
            raise _invalid("The host of the SSH address is neither a name nor an IP address.") from exc
        if percent and not _ZONE.match(zone):
            raise _invalid("The zone of the IPv6 address is not a network interface's name.")
    elif not _HOST.match(host):
        raise _invalid("The host of the SSH address is missing or has characters that no host name has.")
    return host


def _set_user(user: str, found: _Parsed) -> None:
    if ":" in user:
        raise _invalid(
            "The SSH address has a password in it.", "Nodeferry logs in with keys only; leave the password out."
        )
    if not _USER.match(user):
        raise _invalid("The user of the SSH address is missing or has characters that no user name has.")
    if found.user not in (None, user):
        raise _invalid("The SSH address names two different users.")
    found.user = user


def _set_port(text: str, found: _Parsed) -> None:
    port = int(text) if _PORT.match(text) else 0
    if not 1 <= port <= 65535:
        raise _invalid("The port of the SSH address is not a number from 1 to 65535.")
    if found.port not in (None, port):
        raise _invalid("The SSH address names two different ports.")
    found.port = port


def _add_identity_file(path: str, found: _Parsed) -> None:
    path = re.sub(r"^\$(?:HOME|\{HOME\})(?=/)", "~", path)
    if not path or any(pattern.search(path) for pattern in (_PATH_REFUSED, _WINDOWS_PATH, _PLACEHOLDER)):
        raise _invalid("The key file of the SSH address has characters that are not accepted in its path.")
    found.identity_files.append(path)


def _set_jump(text: str, found: _Parsed) -> None:
    hops = text.split(",")
    if len(hops) > MAX_JUMPS:
        raise _invalid(f"The SSH address names more than {MAX_JUMPS} jump hosts.")
    for hop in hops:
        parse_hop(hop)
    if found.jump not in (None, text):
        raise _invalid("The SSH address names two different jump hosts.")
    found.jump = text


def _read_option_assignment(text: str, found: _Parsed) -> None:
    """`-o Name=value` or `-o 'Name value'`."""
    name, _, value = text.strip().replace("=", " ", 1).partition(" ")
    if name.lower() in _ASSIGNMENT_READERS:
        _ASSIGNMENT_READERS[name.lower()](value.strip(), found)
    elif name.lower() not in _OPTIONS_IGNORED:
        raise _refused("-o " + (name if re.fullmatch(r"[A-Za-z0-9]{1,40}", name) else "(unreadable)"))


_ASSIGNMENT_READERS: dict[str, Callable[[str, _Parsed], None]] = {
    "port": _set_port,
    "user": _set_user,
    "identityfile": _add_identity_file,
    "proxyjump": _set_jump,
}
_READERS: dict[str, Callable[[str, _Parsed], None]] = {
    "p": _set_port,
    "l": _set_user,
    "i": _add_identity_file,
    "J": _set_jump,
    "o": _read_option_assignment,
}
