"""Whether a workflow is ready to run: one sentence, and each thing that is missing with what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from app.cli.view.result import show_text
from app.protocol.terminal_text import one_line
from app.words import word

_STYLES = {"ready": "bold green", "not_ready": "bold red", "unknown": "bold yellow"}
_MOST = 30


def show_proof(console: Console, proof: Mapping[str, Any] | None) -> None:
    """Print the proof of a run's workflows; None: ComfyUI was not asked yet."""
    if proof is None:
        show_text(console, word("proof.not_checked"))
    results: Sequence[Mapping[str, Any]] = (proof or {}).get("results") or ()
    for result in results:
        name = f"{one_line(result.get('name'))}: " if len(results) > 1 else ""
        style = _STYLES.get(str(result.get("verdict")), "bold")
        show_text(console, name + one_line(result.get("sentence")), style=style)
        _show_findings(console, result.get("findings") or ())
        saved, problem = result.get("saved_as"), one_line(result.get("problem"))
        if problem and problem not in one_line(result.get("sentence")):
            show_text(console, problem, style="yellow", indent=2)
        if saved:
            show_text(console, word("proof.saved", n=1, names=one_line(saved).removeprefix("workflows/")), indent=2)


def _show_findings(console: Console, findings: Sequence[Mapping[str, Any]]) -> None:
    """The same thing at several nodes once."""
    nodes: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in findings:
        nodes.setdefault((one_line(each.get("what")), one_line(each.get("hint"))), []).append(each)
    for (what, hint), found in list(nodes.items())[:_MOST]:
        unsure = found[0].get("kind") == "unsure"
        show_text(console, what, style="yellow" if unsure else "red", indent=2)
        ids = [one_line(each.get("node_id")) for each in found if each.get("node_id")]
        where = word("proof.node", n=len(ids), ids=", ".join(ids[:6])) if ids else ""
        place = ", ".join(filter(None, (where, one_line(found[0].get("class")), one_line(found[0].get("input")))))
        show_text(console, f"{hint} ({place})" if place else hint, indent=4)
        url = one_line((found[0].get("file") or {}).get("url"))
        if url:
            show_text(console, url, indent=4)
    if len(nodes) > _MOST:
        show_text(console, f"… {len(nodes) - _MOST}", indent=2)
