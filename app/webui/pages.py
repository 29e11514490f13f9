"""The pages' routes. A page is a shell that is rendered here and filled by its script over the API.

Where no login is needed a page carries what is known already, so that a reload shows the true state at once; else it
carries nothing, since the shell itself is open to everybody who reaches the service.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.domain.errors import TaskNotFound
from app.protocol.redaction import masked
from app.version import VERSION
from app.webui.assets import SHEET, assets, type_of

PREFIX = "/ui"
_EXTENSION = "nodeferry-pages"
_PLACE = ("chapter", "tab", "pack", "line")
_FOR_EVER = "public, max-age=31536000, immutable"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PageSource = Callable[[str], Mapping[str, Any]]
"""What is known of an id, as the API tells it. Raises AppError when there is none."""


@dataclass(frozen=True, slots=True)
class PageParts:
    """What pages may carry. `needs_login`: whether requests need a token now; `root_of`: the run of any id of it,
    and its kind."""

    needs_login: Callable[[], bool]
    task: PageSource
    run: PageSource
    root_of: Callable[[str], tuple[str, str]]


pages = Blueprint("webui", __name__, template_folder="templates")


def register(app: Any, services: PageParts) -> None:
    """Adds the pages to the service's application."""
    app.extensions[_EXTENSION] = services
    app.register_blueprint(pages)


@pages.after_request
def _headers(response: Response) -> Response:
    """Pages are asked for anew each time; what they load stays in the browser."""
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@pages.get("/")
def start_page() -> str:
    """Paste an SSH command, choose what to install."""
    return _page("start", "Install")


@pages.get(f"{PREFIX}/run/<uuid:any_id>")
def run_page(any_id: object) -> str | AnyResponse:
    """One run, live: connecting, the install and all that follows it. By the id of one of its tasks: its chapter."""
    run_id, kind = _root_of(str(any_id))
    if kind == "fleet":
        return redirect(url_for("webui.fleet_page", fleet_id=run_id))
    if run_id != str(any_id):
        return redirect(url_for("webui.run_page", any_id=run_id, **_place() | {"chapter": str(any_id)}))
    return _page("run", "Install", run_id, _run_with_tasks)


@pages.get(f"{PREFIX}/task/<uuid:any_id>")
@pages.get(f"{PREFIX}/workflow/<uuid:any_id>")
def old_run_page(any_id: object) -> AnyResponse:
    """Where runs were shown before."""
    return redirect(url_for("webui.run_page", any_id=any_id, **_place()))


@pages.get(f"{PREFIX}/runs")
def runs_page() -> str:
    """All runs."""
    return _page("runs", "Runs")


@pages.get(f"{PREFIX}/history")
def old_runs_page() -> AnyResponse:
    """Where the runs were listed before."""
    return redirect(url_for("webui.runs_page"))


@pages.get(f"{PREFIX}/machines")
def machines_page() -> str:
    """The machines that are remembered."""
    return _page("machines", "Machines")


@pages.get(f"{PREFIX}/compare")
def compare_page() -> str:
    """Two runs side by side."""
    return _page("compare", "Compare two runs")


@pages.get(f"{PREFIX}/fleet")
def new_fleet_page() -> str:
    """One manifest on several instances."""
    return _page("fleet", "Fleet")


@pages.get(f"{PREFIX}/fleet/<uuid:fleet_id>")
def fleet_page(fleet_id: object) -> str:
    """Several installs, a row an instance."""
    return _page("fleet", "Fleet", str(fleet_id))


@pages.get("/docs")
def docs_page() -> str:
    """The API's routes, with a line of curl for each; works without a network."""
    return _page("docs", "API")


@pages.get(f"{PREFIX}/static/<version>/<path:name>")
def asset(version: str, name: str) -> Response:
    """A style, script or picture of this version."""
    if version != assets().version or name not in assets().files:
        abort(404)
    response = Response(assets().files[name], content_type=f"{type_of(name)}; charset=utf-8")
    response.headers["Cache-Control"] = _FOR_EVER
    return response


@pages.app_template_global("asset")
def address_of(name: str) -> str:
    """Where a page finds a style, script or picture."""
    return url_for("webui.asset", version=assets().version, name=name)


@pages.get("/favicon.ico")
def favicon() -> AnyResponse:
    """Browsers ask for it by this name."""
    return redirect(address_of("icon.svg"))


def _parts() -> PageParts:
    found: PageParts = current_app.extensions[_EXTENSION]
    return found


def _place() -> dict[str, str]:
    """Which part of a run an address means."""
    return {name: request.args[name] for name in _PLACE if name in request.args}


def _root_of(any_id: str) -> tuple[str, str]:
    """The run of an id, and its kind. Behind a login nobody learns here which ids there are."""
    return (any_id, "") if _parts().needs_login() else _parts().root_of(any_id)


def _run_with_tasks(run_id: str) -> Mapping[str, Any]:
    """A run with the tasks that its page shows first: `task`, the one that the address names or the current one, and
    `rows`, the one that has its node packs, where that is another. None for what was forgotten."""
    found = _parts().run(run_id)
    asked = request.args.get("chapter")
    known = {chapter["task_id"] for chapter in found["chapters"]}
    chosen = asked if asked in known else found["current"]
    rows = found["rows_of"] if found["rows_of"] != chosen else None
    return {**found, "task": _task(chosen), "rows": _task(rows)}


def _task(task_id: str | None) -> Mapping[str, Any] | None:
    try:
        return _parts().task(task_id) if task_id else None
    except TaskNotFound:
        return None


def _page(name: str, title: str, shown_id: str = "", known: PageSource | None = None) -> str:
    login = _parts().needs_login()
    initial = dict(known(shown_id)) if known and not login else None
    text = masked(json.dumps(initial, separators=(",", ":")))
    return render_template(
        f"{name}.html",
        page=name,
        title=title,
        shown_id=shown_id,
        initial=initial,
        # It stands in a script element, which nothing in it may end.
        carried=text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
        login=login,
        version=VERSION,
        sheet=SHEET,
    )
