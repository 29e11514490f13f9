"""Logs in with one key after another, and opens new connections where the server allows few attempts on each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import paramiko

from app.domain.errors import AuthenticationFailed, ConnectFailed
from app.remote.agent import AgentError
from app.remote.config_words import without_home
from app.remote.deadline import Deadline
from app.remote.keys import KeyCandidate, KeyRing
from app.remote.ssh_config import Endpoint
from app.remote.transport import KEEPALIVE_SECONDS, ServiceTransport

_DOING = "login"
_MAX_DROPS = 3
_RSA_ALGORITHMS = 2


def log_in(
    transport: ServiceTransport,
    reopen: Callable[[], ServiceTransport],
    endpoint: Endpoint,
    ring: KeyRing,
    deadline: Deadline,
) -> ServiceTransport:
    """Logs in as `endpoint.user`. Returns `transport`, or a newer connection from `reopen`; the others are closed.

    Raises AuthenticationFailed naming every key that was tried, or ConnectFailed.
    """
    drops = 0
    waiting = list(ring.candidates)
    try:
        while waiting:
            if not transport.is_active():
                transport.close()
                transport = reopen()
            verdict = _try_key(transport, endpoint, waiting[0], ring, deadline)
            if verdict is True:
                transport.set_keepalive(KEEPALIVE_SECONDS)
                return transport
            if verdict is False:
                waiting.pop(0)
                continue
            drops += 1
            if drops >= _MAX_DROPS:
                raise ConnectFailed(f"{endpoint} closes the connection again and again during the login.")
            deadline.pause(0.2 * drops, _DOING)
        if transport.is_active() and _needs_no_login(transport, endpoint, deadline):
            transport.set_keepalive(KEEPALIVE_SECONDS)
            return transport
        raise _refused(endpoint, ring)
    except BaseException:
        transport.close()
        raise


def _refused(endpoint: Endpoint, ring: KeyRing) -> AuthenticationFailed:
    """Why nothing that was tried logs in."""
    if ring.candidates:
        error = AuthenticationFailed(f"{endpoint} accepts none of your SSH keys. {_tried(ring)}")
    else:
        error = AuthenticationFailed(
            f"There is no SSH key to log in to {endpoint} with. {_tried(ring)}".rstrip(),
            code="no_ssh_key",
            hint="Make one with `run.py key new` (or on the start page), and add its public part to your account at "
            "the provider, or to the instance. A key that is somewhere else can be named with -i.",
        )
    error.unusable = tuple(without_home(problem, str(Path.home())) for problem in ring.problems)
    error.is_final = ring.named_missing
    return error


def _try_key(
    transport: ServiceTransport, endpoint: Endpoint, candidate: KeyCandidate, ring: KeyRing, deadline: Deadline
) -> bool | None:
    """True: logged in. False: the key was refused (the connection may be over). None: the connection was lost."""
    done = threading.Event()
    if len(endpoint.refused_algorithms) < _RSA_ALGORITHMS:  # with none left, paramiko would stop for good
        transport.disabled_algorithms = {"pubkeys": list(endpoint.refused_algorithms)}
    try:
        transport.auth_publickey(endpoint.user, candidate.key, event=done)
    except (paramiko.SSHException, EOFError, OSError):
        return None
    deadline.wait(done, _DOING)
    if transport.is_authenticated():
        return True
    exc = transport.get_exception()
    if isinstance(exc, paramiko.ssh_exception.PartialAuthentication) and "publickey" in exc.allowed_types:
        return False  # it wants a second key
    if isinstance(exc, AgentError):
        ring.problems.append(f"{candidate.label}: the SSH agent did not sign ({exc})")
    if isinstance(exc, paramiko.BadAuthenticationType | paramiko.ssh_exception.PartialAuthentication):
        raise AuthenticationFailed(
            f"{endpoint} wants a login by {' or '.join(exc.allowed_types) or 'nothing at all'}, not by SSH key. "
            f"{_tried(ring)}",
            hint="Nodeferry logs in with SSH keys only. Allow them on the instance (PubkeyAuthentication yes).",
        )
    if isinstance(exc, EOFError | OSError):
        return None
    return False  # without an exception the server has disconnected in so many words: too many attempts


def _needs_no_login(transport: ServiceTransport, endpoint: Endpoint, deadline: Deadline) -> bool:
    """Whether the server lets the user in as it is: a network that has checked already (Tailscale SSH), or an account
    without a password. ssh asks for this first; nobody else would be refused a try for it here."""

    def ask() -> bool:
        try:
            transport.auth_none(endpoint.user)
        except (paramiko.SSHException, EOFError, OSError):
            return False
        return bool(transport.is_authenticated())

    return deadline.call(ask, _DOING)


def _tried(ring: KeyRing) -> str:
    tried = f"Tried: {'; '.join(candidate.label for candidate in ring.candidates)}." if ring.candidates else ""
    unusable = f"Not usable: {'; '.join(ring.problems)}." if ring.problems else ""
    return without_home(f"{tried} {unusable}".strip(), str(Path.home()))
