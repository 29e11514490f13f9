"""What the runner's commands answer, as far as the service goes by it: read by the same rules as the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Type, TypeVar

from app.protocol.json_fields import BadField, ProtocolFault, read_record

_T = TypeVar("_T")


@dataclass(frozen=True)
class Started:
    """To `start`: how the run stands, and how many bytes its journal has."""

    offset: int
    status: str = ""
    sealed: bool = False
    """The runner seals this run's journal (`app/protocol/seal.py`); one of an earlier version does not."""


@dataclass(frozen=True)
class Status:
    """To `status`: running, ended, died or unknown."""

    status: str = ""


@dataclass(frozen=True)
class Swept:
    """To `sweep`: whether the machine was started again since the run began."""

    rebooted: bool = False


def read_answer(cls: Type[_T], raw: Any) -> _T:
    """An answer as `cls`. Raises ProtocolFault."""
    try:
        return read_record(cls, raw)
    except BadField as exc:
        raise ProtocolFault("not an answer to this command: %s" % exc) from None
