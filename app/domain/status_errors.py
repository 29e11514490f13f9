"""Errors of what leaves the service: notifications and status links."""

from __future__ import annotations

from app.domain.errors import TaskError


class NotificationsUnusable(TaskError):
    """Nobody would be told: notifications are off, or cannot be used."""

    code = "notifications_unusable"


class StatusLinkNotFound(TaskError):
    """This link shows nothing, or nothing any more."""

    code = "status_link_not_found"


class StatusLinksOff(TaskError):
    """This service makes no status links."""

    code = "status_links_off"
