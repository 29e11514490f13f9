"""What can go wrong with a stand-in itself."""

from __future__ import annotations

from app.domain.errors import AppError


class StandInError(AppError):
    """The stand-in could not do its work."""

    code = "standin_error"


class StandInUnavailable(StandInError):
    """This machine cannot run a stand-in."""

    code = "standin_unavailable"


class StillRunning(StandInError):
    """Processes of the stand-in did not end."""

    code = "standin_still_running"
