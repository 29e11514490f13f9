"""What `/manifests/check` says of the ComfyUI that a workflow needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.nodemap.answer import Answer
from app.nodemap.core_classes import core_classes
from app.nodemap.core_versions import core_versions
from app.protocol import reasons
from app.protocol.core_needs import GONE, TOO_OLD, CoreClass, CoreNeeds, Lack, gone_text, lacks, too_old_text
from app.protocol.versions import is_older, newest_of

_UPDATE = "Update ComfyUI on the machine first."


def core_json(answer: Answer, version: str | None, made_for: str | None) -> dict[str, Any]:
    """`too_new` and `gone` are by the ComfyUI of this version; by the newest that is known, where it is None.
    `made_for`: what the list of the official templates asks for."""
    wanted = answer.core_needs
    return {
        "frontend": core_classes().frontend,
        "too_new": list(answer.too_new),
        "gone": list(answer.gone),
        "made_with": answer.comfyui_version,
        "comfyui_version": version,
        "needs": newest_of([_needed(wanted), made_for]),
        "newer_than_known": bool(wanted and wanted.is_newer_than_known),
        "verdicts": _all_verdicts(wanted, version, made_for),
    }


def core_class_json(core_class: CoreClass | None) -> dict[str, Any] | None:
    """In which versions of ComfyUI a class is."""
    if core_class is None:
        return None
    return {"since": core_class.since, "until": core_class.until, "replaced_by": core_class.replaced_by}


def _needed(wanted: CoreNeeds | None) -> str | None:
    """The oldest that is enough; None where the oldest of which anything is known is: an older one may be enough."""
    version = wanted.version if wanted else None
    return None if version == core_versions().oldest else version


def _all_verdicts(wanted: CoreNeeds | None, version: str | None, made_for: str | None) -> list[dict[str, Any]]:
    """By its classes; where these are all there, by what the list of templates asks for: that is not certain."""
    found = _verdicts(wanted, version) if wanted else []
    if is_older(version, made_for) and all(each["code"] != TOO_OLD for each in found):
        text = f"ComfyUI's list of templates asks for {made_for} or newer for this one; this ComfyUI is {version}."
        found.append(_verdict(TOO_OLD, [], text))
    return found


def _verdicts(wanted: CoreNeeds, version: str | None) -> list[dict[str, Any]]:
    texts: Mapping[str, Callable[[Sequence[Lack]], str]] = {
        TOO_OLD: lambda found: too_old_text(wanted, found, version),
        GONE: gone_text,
    }
    found = lacks(wanted, version)
    by_code = {code: [each for each in found if each.code == code] for code in texts}
    return [_verdict(code, those, texts[code](those)) for code, those in by_code.items() if those]


def _verdict(code: str, found: Sequence[Lack], message: str) -> dict[str, Any]:
    reason = reasons.find(code)
    return {
        "code": code,
        "title": reason.title,
        "message": message,
        "hint": reason.hint or _UPDATE,
        "certain": any(each.certain for each in found),
        "classes": [{"class": each.core_class.name, **(core_class_json(each.core_class) or {})} for each in found],
    }
