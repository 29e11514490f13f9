"""What schemathesis is told of Nodeferry: how addresses look, and that nothing is waited for."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies

LONGEST_SECONDS = 0.2

_HOSTS = ("gpu", "127.0.0.1", "[::1]", "ssh6.vast.ai")
"""The ssh configuration of the service leads them all to a closed port of this machine."""


def _address() -> strategies.SearchStrategy[str]:
    host, port = strategies.sampled_from(_HOSTS), strategies.integers(1, 65535)
    forms = (
        "ssh -p {port} root@{host}",
        "root@{host}:{port}",
        "{host}",
        "ssh://me@{host}:{port}",
        "root@{host} -p {port}",
    )
    return strategies.builds(lambda form, h, p: form.format(host=h, port=p), strategies.sampled_from(forms), host, port)


schemathesis.openapi.format("ssh-address", _address())


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Bounds how long a request waits: for the end of a task, or for an instance that is not there."""
    query, body = case.query, case.body
    if isinstance(query, dict) and isinstance(query.get("wait"), int | float):
        query["wait"] = min(query["wait"], LONGEST_SECONDS)
    if not isinstance(body, dict):
        return
    options = body.get("options")
    if isinstance(options, dict) and isinstance(options.get("wait_seconds"), int | float):
        options["wait_seconds"] = min(options["wait_seconds"], LONGEST_SECONDS)
    if isinstance(body.get("timeout_seconds"), int | float):
        body["timeout_seconds"] = min(body["timeout_seconds"], 1 + LONGEST_SECONDS)
