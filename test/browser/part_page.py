"""A page with one part of the pages in it: modules joined as a page's are, the styles, the policy, the real service."""

from __future__ import annotations

from playwright.sync_api import Page, Route

from app.webui.assets import modules
from app.webui.bundle import joined
from app.webui.styles import styles

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STYLES = styles()["problem"]
_NAME = "js/pages/part.js"
_HTML = """<!doctype html>
<html lang="en" data-base="">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Part</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/part/site.css">
  <script type="module" src="/part/part.js"></script>
</head>
<body>
  <main id="main"><h1 class="visually-hidden">Part</h1>%s</main>
  <div id="announcer" class="visually-hidden" role="status"></div>
</body>
</html>"""


def serve(page: Page, url: str, body: str, script: str, style: str = "") -> str:
    """The address of a page below the service's own origin, with `body` in it and `script` as its own module."""
    files = {
        "": ("text/html; charset=utf-8", _HTML % body),
        "/site.css": ("text/css", _STYLES.first + _STYLES.rest + style),
        "/part.js": ("text/javascript", joined(_NAME, {**modules(), _NAME: script})),
    }

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(f"{url}/part").partition("?")[0]
        kind, content = files[path]
        route.fulfill(body=content, content_type=kind, headers={"Content-Security-Policy": POLICY})

    page.route(f"{url}/part**", answer)
    return f"{url}/part"
