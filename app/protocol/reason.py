"""What is known of a reason code. `reasons` has the table of all codes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class About(Enum):
    """What a code is mostly about. A run that fails because of its interpreter marks its packs with the run's code."""

    NODE = "a node pack"
    RUN = "a run"
    WARNING = "a warning"
    WAITING = "a wait"
    QUESTION = "a question of a workflow"
    REQUEST = "a request"


class Retry(Enum):
    """Whether it helps to start the same again."""

    NO = "no"
    """Something else has to be asked for: another option, pack, image or machine. Or nothing is wrong."""
    HELPS = "yes"
    """Once the hint was followed on the instance or at the provider; or nobody knows, and it is worth a try."""
    LATER = "yes, by itself"
    """It passes by itself, within minutes. Automatic retries repeat it."""
    SOON = "yes, by itself, at once"
    """As LATER, and a second try within the run often works."""


@dataclass(frozen=True)
class Reason:
    """One code. `hint`: what to do, where whoever reports it does not say it better."""

    code: str
    title: str
    about: About
    retry: Retry = Retry.NO
    hint: str = ""

    @property
    def retryable(self) -> bool:
        """Whether starting the same again can help."""
        return self.retry is not Retry.NO

    @property
    def transient(self) -> bool:
        """Whether it may pass by itself: automatic retries repeat only these."""
        return self.retry in (Retry.LATER, Retry.SOON)
