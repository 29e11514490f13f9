"""Logs in with one key after another, and opens new connections where the server allows few attempts on each."""

from __future__ import annotations

import threading
from collections.abc import Callable

import paramiko

from app.domain.errors import AuthenticationFailed, ConnectFailed
from app.remote.deadline import Deadline
from app.remote.keys import KeyCandidate, KeyRing
from app.remote.ssh_config import Endpoint
from app.remote.transport import KEEPALIVE_SECONDS, ServiceTransport

_DOING = "login"
_MAX_DROPS = 3


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
        if ring.candidates:
            raise AuthenticationFailed(f"{endpoint} accepts none of your SSH keys. {_tried(ring)}")
        raise AuthenticationFailed(
            f"There is no SSH key to log in to {endpoint} with. {_tried(ring)}".rstrip(),
            hint="Create one with ssh-keygen -t ed25519, and add its .pub file to your account at the provider, or to "
            "the instance. A key that is somewhere else can be named with -i.",
        )
    except BaseException:
        transport.close()
        raise


def _try_key(
    transport: ServiceTransport, endpoint: Endpoint, candidate: KeyCandidate, ring: KeyRing, deadline: Deadline
) -> bool | None:
    """True: logged in. False: the key was refused (the connection may be over). None: the connection was lost."""
    done = threading.Event()
    try:
        transport.auth_publickey(endpoint.user, candidate.key, event=done)
    except (paramiko.SSHException, EOFError, OSError):
        return None
    deadline.wait(done, _DOING)
    if transport.is_authenticated():
        return True
    exc = transport.get_exception()
    if isinstance(exc, paramiko.BadAuthenticationType | paramiko.ssh_exception.PartialAuthentication):
        raise AuthenticationFailed(
            f"{endpoint} wants a login by {' or '.join(exc.allowed_types) or 'nothing at all'}, not by SSH key. "
            f"{_tried(ring)}",
            hint="Nodeferry logs in with SSH keys only. Allow them on the instance (PubkeyAuthentication yes).",
        )
    if isinstance(exc, EOFError | OSError):
        return None
    return False  # without an exception the server has disconnected in so many words: too many attempts


def _tried(ring: KeyRing) -> str:
    tried = f"Tried: {'; '.join(candidate.label for candidate in ring.candidates)}." if ring.candidates else ""
    unusable = f"Not usable: {'; '.join(ring.problems)}." if ring.problems else ""
    return f"{tried} {unusable}".strip()
