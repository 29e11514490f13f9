"""The time that is left, as the service says it, told so that it does not jump while the bar stands. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Remaining:
    """While the percent that is seen stays the same, the time counts down from what was said when it was reached; when
    that has passed, nothing is promised until the bar moves."""

    def __init__(self) -> None:
        self._percent: int | None = None
        self._until: float | None = None

    def heard(self, progress: Mapping[str, Any], now: float) -> None:
        """The newest progress, answered at `now` (seconds of any clock)."""
        eta, percent = progress.get("eta_seconds"), int(progress.get("percent") or 0)
        if eta is None or progress.get("message_code") == "waiting_for_answer":
            self._percent = self._until = None
        elif self._percent != percent:
            self._percent, self._until = percent, now + float(eta)

    def told(self, progress: Mapping[str, Any], now: float, ahead: float) -> dict[str, Any]:
        """The progress as it is to be drawn at `now`, `ahead` seconds after it was answered."""
        left = None if self._until is None or now >= self._until else self._until - now
        return {**progress, "eta_seconds": None if left is None else left + ahead}
