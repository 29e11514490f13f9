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
from app.domain.workflow import StepName
from app.protocol.redaction import masked
from app.version import VERSION
from app.webui.assets import SHEET, assets, type_of
from app.words import LANGUAGE, word

PREFIX = "/ui"
_EXTENSION = "nodeferry-pages"
_FOR_EVER = "public, max-age=31536000, immutable"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PageSource = Callable[[str], Mapping[str, Any]]
"""What is known of an id, as the API tells it. Raises AppError when there is none."""


@dataclass(frozen=True, slots=True)
class PageParts:
    """What pages may carry. `needs_login`: whether requests need a token now."""

    needs_login: Callable[[], bool]
    task: PageSource
    workflow: PageSource


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


@pages.get(f"{PREFIX}/task/<uuid:task_id>")
def task_page(task_id: object) -> AnyResponse:
    """One install, live."""
    return redirect(url_for("webui.run_page", run_id=task_id))


@pages.get(f"{PREFIX}/workflow/<uuid:workflow_id>")
def workflow_page(workflow_id: object) -> AnyResponse:
    """One workflow: its steps, and the install that runs in it."""
    return redirect(url_for("webui.run_page", run_id=workflow_id))


@pages.get(f"{PREFIX}/run/<uuid:run_id>")
def run_page(run_id: object) -> str:
    """One run, with all that belongs to it."""
    return _page("run", "Run", str(run_id))


@pages.get(f"{PREFIX}/runs")
def runs_page() -> str:
    """All runs: installs, workflows and fleets."""
    return _page("runs", "Runs")


@pages.get(f"{PREFIX}/history")
def history_page() -> AnyResponse:
    """Where the runs were before."""
    return redirect(url_for("webui.runs_page", **request.args.to_dict()))


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


pages.add_app_template_global(word)


@pages.app_template_global("language")
def language() -> str:
    """The language of the words, as `<html lang>` has it."""
    return LANGUAGE


@pages.app_template_global("pages_version")
def pages_version() -> str:
    """What changes with any style, script or word: a page that has another one is of another Nodeferry."""
    return assets().version


@pages.after_app_request
def _name_version(response: Response) -> Response:
    """Every answer says it, so that a page that is open learns of an upgrade without asking."""
    response.headers["Nodeferry-Pages"] = assets().version
    return response


@pages.get("/favicon.ico")
def favicon() -> AnyResponse:
    """Browsers ask for it by this name."""
    return redirect(address_of("icon.svg"))


def _parts() -> PageParts:
    found: PageParts = current_app.extensions[_EXTENSION]
    return found


def _workflow_with_task(workflow_id: str) -> Mapping[str, Any]:
    """A workflow with the install that its page shows (`task`, None where there is none or it was forgotten)."""
    found = _parts().workflow(workflow_id)
    ids = [step["task_id"] or step["plan_task_id"] for step in found["steps"] if step["name"] == StepName.INSTALL.value]
    try:
        task = _parts().task(ids[0]) if ids and ids[0] else None
    except TaskNotFound:
        task = None
    return {**found, "task": task}


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
