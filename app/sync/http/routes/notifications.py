"""Notifications: who is told, an off switch, and a test."""

from __future__ import annotations

from flask import Blueprint, Response

from app.domain.status_errors import NotificationsUnusable
from app.sync.http import bodies
from app.sync.http.services import answer, body, query, services
from app.sync.notifications import Message
from app.words import word

notifications = Blueprint("notifications", __name__)


@notifications.get("/notifications")
def show_notifications() -> Response:
    """Whether people are told, by which services, and how the last message fared."""
    query(bodies.NoQuery)
    return _state()


@notifications.post("/notifications")
def switch_notifications() -> Response:
    """Switches them on or off; a restart keeps that."""
    services().notifications.switch(body(bodies.NotificationsBody).on)
    return _state()


@notifications.post("/notifications/test")
def send_test() -> tuple[Response, int]:
    """Sends a test soon. The state says later how it fared."""
    body(bodies.NoBody)
    if not services().notifications.send(Message(word("notify.test_title"), word("notify.test_text"))):
        raise NotificationsUnusable(services().notifications.state()["problem"] or "")
    return _state(), 202


def _state() -> Response:
    return answer({"success": True, **services().notifications.state()})
