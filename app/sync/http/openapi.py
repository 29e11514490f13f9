"""The API as an OpenAPI 3.1 specification, made from the routes there are and the models that check their requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Flask, Response, current_app

from app.sync.http import bodies
from app.sync.http.services import answer, query, services
from app.sync.http.spec.document import Route, document

openapi = Blueprint("openapi", __name__)

_EXTENSION = "nodeferry-openapi"


@openapi.get("/openapi.json")
def show_specification() -> Response:
    """This specification."""
    query(bodies.NoQuery)
    needs_token = services().access.needs_login()
    made: dict[bool, dict[str, Any]] = current_app.extensions.setdefault(_EXTENSION, {})
    if needs_token not in made:  # many times as costly as any other answer
        made[needs_token] = document(api_routes(current_app), needs_token=needs_token)
    return answer(made[needs_token])


def api_routes(app: Flask) -> Iterator[Route]:
    """The routes of `app` that are no pages."""
    for rule in app.url_map.iter_rules():
        about = " ".join((app.view_functions[rule.endpoint].__doc__ or "").partition("\n\n")[0].split())
        if not rule.endpoint.startswith("webui."):
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield Route(method, rule.rule, rule.endpoint.rpartition(".")[2], about)
