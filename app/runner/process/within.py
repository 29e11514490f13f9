"""A deadline for a call that has none: a socket's own timeout begins again with each byte, and looking up a name has
none at all."""

from __future__ import annotations

import threading
from typing import Callable, List, TypeVar

Answer = TypeVar("Answer")


def within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """What `call` returns, or raises. Raises TimeoutError where that takes longer; the call then goes on in a thread
    that nobody waits for, so it must be one that ends by itself or costs nothing."""
    answers: List[Answer] = []
    raised: List[BaseException] = []

    def work() -> None:
        try:
            answers.append(call())
        except BaseException as exc:  # noqa: BLE001 - raised again for the caller
            raised.append(exc)

    thread = threading.Thread(target=work, name="within", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not answers:
        raise TimeoutError("no whole answer within %d s" % seconds)
    return answers[0]
