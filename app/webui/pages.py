"""The pages' routes. A page is a shell that is rendered here and filled by its script over the API.

Where no login is needed a page carries what is known already, so that a reload shows the true state at once; else it
carries nothing, since the shell itself is open to everybody who reaches the service.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from app.domain.errors import AppError, TaskNotFound
from app.protocol.options import OPTIONS
from app.protocol.redaction import masked
from app.protocol.terminal_text import one_line
from app.sync.http.compression import chosen
from app.version import VERSION
from app.webui.assets import ENCODINGS, assets, type_of
from app.words import LANGUAGE, word

PREFIX = "/ui"
_EXTENSION = "nodeferry-pages"
_CARRIES = "nodeferry_page_carries"
_STYLE = "nodeferry_page_style"
_PLACE = ("chapter", "tab", "pack", "line")
_FOR_EVER = "public, max-age=31536000, immutable"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{style}; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PageSource = Callable[[str], Mapping[str, Any]]
"""What is known of an id, as the API tells it. Raises AppError when there is none."""


@dataclass(frozen=True, slots=True)
class PageParts:
    """What pages may carry. `needs_login`: whether requests need a token now; `root_of`: the run of any id of it,
    and its kind; `running`: the runs that go on, as lists have them."""

    needs_login: Callable[[], bool]
    task: PageSource
    run: PageSource
    root_of: Callable[[str], tuple[str, str]]
    running: Callable[[], Sequence[Mapping[str, Any]]]


pages = Blueprint("webui", __name__, template_folder="templates")


def register(app: Any, services: PageParts) -> None:
    """Adds the pages to the service's application."""
    app.extensions[_EXTENSION] = services
    app.register_blueprint(pages)


@pages.after_request
def _headers(response: Response) -> Response:
    """Pages are asked for anew each time, and come again only if they are others; one that carries what is known of a
    run is never kept. What pages load stays in the browser."""
    response.headers["Content-Security-Policy"] = _policy()
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if response.status_code != 200 or response.mimetype != "text/html" or g.get(_CARRIES, True):
        response.headers.setdefault("Cache-Control", "no-store")
        return response
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:16], weak=True)
    response.make_conditional(request)
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
        return _to_run(run_id, _place() | {"chapter": str(any_id)})
    return _page("run", "Install", run_id, _run_with_tasks)


@pages.get(f"{PREFIX}/task/<uuid:any_id>")
@pages.get(f"{PREFIX}/workflow/<uuid:any_id>")
def old_run_page(any_id: object) -> AnyResponse:
    """Where runs were shown before."""
    return _to_run(str(any_id), _place())


@pages.get(f"{PREFIX}/runs")
def runs_page() -> str:
    """All runs: installs, workflows and fleets."""
    return _page("runs", "Runs")


@pages.get(f"{PREFIX}/history")
def old_runs_page() -> AnyResponse:
    """Where the runs were listed before."""
    return redirect(url_for("webui.runs_page") + (f"?{urlencode(request.args)}" if request.args else ""))


@pages.get(f"{PREFIX}/machines")
def machines_page() -> str:
    """The machines that are remembered."""
    return _page("machines", "Machines")


@pages.get(f"{PREFIX}/status")
def status_page() -> str:
    """One run, read-only, for whoever has its status link: the secret behind # only the page's script sees."""
    return render_template("status.html", page="status")


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
    encoding = chosen(request.headers.get("Accept-Encoding", ""), ENCODINGS) or ""
    smaller = assets().compressed.get((name, encoding))
    response = Response(smaller or assets().files[name], content_type=f"{type_of(name)}; charset=utf-8")
    if smaller is not None:
        response.headers["Content-Encoding"] = encoding
    response.headers["Cache-Control"] = _FOR_EVER
    response.set_etag(f"{version}{f'-{encoding}' if smaller is not None else ''}")
    response.make_conditional(request)
    return response


@pages.app_template_global("asset")
def address_of(name: str) -> str:
    """Where a page finds a style, script or picture."""
    return url_for("webui.asset", version=assets().version, name=name)


@pages.app_template_global("first_styles")
def first_styles(page: str) -> str:
    """What the first screen of a page needs; the answer's policy allows it."""
    found = assets().styles[page]
    setattr(g, _STYLE, found.digest)
    return found.first


def _policy() -> str:
    digest = g.get(_STYLE)
    return _POLICY.format(style=f" '{digest}'" if digest else "")


pages.add_app_template_global(word)


@pages.app_template_global("option_choices")
def option_choices(name: str) -> tuple[str, ...]:
    """What an option of a run may be, in the order of its definition."""
    return OPTIONS[name].choices


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
    if request.method != "OPTIONS":
        response.headers.update(headers())
    return response


def headers() -> dict[str, str]:
    """What every answer has for the pages' sake."""
    return {"Nodeferry-Pages": assets().version}


@pages.get("/favicon.ico")
def favicon() -> AnyResponse:
    """Browsers ask for it by this name."""
    return redirect(address_of("icon.svg"))


_KNOWN_PROBLEMS: Mapping[str, tuple[str, str]] = {
    "unauthorized": ("shell.login_first", "shell.token_why"),
    "not_found": ("shell.no_page", "shell.no_page_why"),
    "run_not_found": ("shell.no_run", "shell.no_run_why"),
    "task_not_found": ("shell.no_run", "shell.no_run_why"),
    "workflow_not_found": ("shell.no_run", "shell.no_run_why"),
    "fleet_not_found": ("shell.no_fleet", "shell.no_run_why"),
}
"""Title and text of what people meet by an address; every other error has its own words."""


def fill_problem_page(response: Response, error: AppError) -> None:
    """Makes an error's answer a page like the others. Where even that cannot be made it stays as it is."""
    title, text = _KNOWN_PROBLEMS.get(error.code, ("", ""))
    hint = "" if title and error.code != "not_found" else error.hint  # those of the ids speak of the API
    texts = [*([word(text)] if text else []), *([one_line(masked(hint))] if hint else [])]
    try:
        page = render_template(
            "problem.html",
            title=word(title) if title else one_line(masked(error.message)),
            texts=texts,
            status=response.status_code,
            code=error.code,
            again="login" if response.status_code == 401 else "",
            **_common("problem", login=_parts().needs_login()),
        )
    except AppError:
        return
    response.set_data(page)
    response.headers["Content-Security-Policy"] = _policy()


_IN_BAR = ("run_id", "machine", "list", "percent", "summary", "in_progress")


def _running() -> list[dict[str, Any]]:
    """What the bar says of the runs that go on. Nothing where that cannot be read: the page itself tells why."""
    try:
        found = _parts().running()
    except AppError:
        return []
    text = masked(json.dumps([{name: run[name] for name in _IN_BAR} for run in found]))
    known: list[dict[str, Any]] = json.loads(text)
    return known


def _parts() -> PageParts:
    found: PageParts = current_app.extensions[_EXTENSION]
    return found


def _to_run(run_id: str, place: Mapping[str, str]) -> AnyResponse:
    asked = f"?{urlencode(place)}" if place else ""
    return redirect(url_for("webui.run_page", any_id=run_id) + asked)


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
    # It stands in a script element, which nothing in it may end.
    carried = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    common = _common(name, login=login, shown_id=shown_id, initial=initial, carried=carried)
    setattr(g, _CARRIES, initial is not None or bool(common["running"]))
    return render_template(f"{name}.html", title=title, **common)


def _common(
    name: str, *, login: bool, shown_id: str = "", initial: Mapping[str, Any] | None = None, carried: str = "null"
) -> dict[str, Any]:
    """What base.html needs."""
    return {
        "page": name,
        "shown_id": shown_id,
        "initial": initial,
        "carried": carried,
        "login": login,
        "running": [] if login else _running(),
        "version": VERSION,
    }
