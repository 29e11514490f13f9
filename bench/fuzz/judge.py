"""Whether a parser did what it may with one input: its own errors, within its time and memory."""

from __future__ import annotations

import contextlib
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

CORPORA = Path(__file__).parents[2] / "test/security/corpus"
MAX_CPU_SECONDS = 1.0
MAX_MEMORY_BYTES = 96 * 1024 * 1024
_TOO_LONG = 2.0
_KIBI = 1 if sys.platform == "darwin" else 1024
Check = Callable[[bytes], str | None]
"""What is wrong with the reading of an input; None where nothing is. Raises what no parser may raise."""


@dataclass(frozen=True, slots=True)
class Parser:
    """A parser of outside bytes. `words`: pieces that mean something to it; `more`: inputs to begin with besides its
    corpus; `as_json`: whether values are changed too, and not only bytes."""

    name: str
    check: Check
    words: Sequence[bytes] = ()
    more: Callable[[], Sequence[bytes]] = tuple
    as_json: bool = False

    @property
    def corpus(self) -> Path:
        """Its folder of inputs: those to begin with, and what was found."""
        return CORPORA / self.name

    def seeds(self) -> list[bytes]:
        """What mutations begin with, in a fixed order."""
        return [path.read_bytes() for path in sorted(self.corpus.glob("*"))] + list(self.more())


class _TooLong(BaseException):
    """Stops a parser that does not end. Not an Exception, which a parser might take for its input's."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one input. `wrong`: None where nothing is."""

    wrong: str | None
    cpu_seconds: float


def judged(check: Check, data: bytes) -> Verdict:
    """Reads one input. To be called in the main thread."""
    before, started = _most_memory(), time.thread_time()
    try:
        with _limited(_TOO_LONG):
            wrong = check(data)
    except _TooLong:
        wrong = f"it took more than {_TOO_LONG:g} s"
    except Exception as exc:  # noqa: BLE001  # what a fuzzer looks for
        wrong = f"{type(exc).__name__}: {exc!s:.300}"
    seconds = time.thread_time() - started
    grown = _most_memory() - before
    if wrong is None and seconds > MAX_CPU_SECONDS:
        wrong = f"it took {seconds:.1f} s of processor time"
    if wrong is None and grown > MAX_MEMORY_BYTES:
        wrong = f"it took {grown >> 20} MiB of memory"
    return Verdict(wrong, seconds)


def kind_of(wrong: str) -> str:
    """What two findings have in common that are probably one: their words without numbers and what is quoted."""
    return re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+(?:\.\d+)?", "_", wrong)[:80]


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _TooLong

    earlier = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, earlier)


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBI
