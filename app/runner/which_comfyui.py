"""Which ComfyUI a run works in: found, asked for where several are equally good, and told."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping, Optional

from app.protocol.states import Phase, StepStatus
from app.runner.context import Context
from app.runner.machine import homes
from app.runner.machine.layout import layout_at
from app.runner.rollback.record import Record

_NONE = "none"
_OTHERS = "ComfyUI in %s was chosen. There are others on this machine: %s."
_OFF = "The running ComfyUI was started with --disable-all-custom-nodes: it loads no packs%s."
_OFF_HINT = "The packs are installed and checked all the same. Remove that option from its start command to load them."


def find_comfyui(context: Context, record: Optional[Record]) -> homes.Home:
    """Sets the run's folders. `record`: of the run that is to be undone, which has them. Raises RunFault,
    RunCancelled."""
    given = context.request.get("ui_home")
    if record:
        ui_home = Path(str(record.ui_home))
        found = homes.home_at(ui_home, layout_at(ui_home, Path(record.base or ui_home), record.custom_nodes))
    else:
        care = context.options.which_comfyui
        found = homes.find_home(given, lambda text, answers: _choose(context, text, answers), care)
    context.phase(Phase.PROBE, StepStatus.RUNNING, found.in_words())  # before anything is changed
    context.ui_home, context.layout = found.ui_home, found.layout
    if not record:
        _warn(context, found, was_given=bool(given))
    return found


def _choose(context: Context, text: str, labels: Mapping[str, str]) -> Optional[str]:
    """Nobody is asked who does not want to be: then the run fails and lists them, as it does when nobody answers."""
    if context.options.ask != "ask":
        return None
    answer = context.questions.ask(
        text, code="choose_comfyui", answers={**labels, _NONE: "None of these: end the run"}, default=_NONE
    )
    return None if answer == _NONE else answer


def _warn(context: Context, found: homes.Home, *, was_given: bool) -> None:
    layout = found.layout
    if found.others and not was_given:
        text = _OTHERS % (found.ui_home, "; ".join(found.others))
        context.warn("other_comfyuis", text, "If you mean another one, give its folder as ui_home.")
    for text in found.hidden():
        hint = "Log in as the user who runs it, or as root, so that its packages and its restart are known."
        context.warn("comfyui_out_of_reach", text, hint)
    if layout.base is not None and not found.running:
        hint = "If it is started otherwise, start it before you install: then it says itself where its packs are."
        context.warn("packs_elsewhere", "ComfyUI does not run; %s." % layout.in_words(), hint)
    for problem in layout.problems:
        hint = "If it has folders of custom_nodes, packs that are there are not seen. Correct the file."
        context.warn("extra_paths_unreadable", "A list of extra folders could not be read: %s" % problem, hint)
    if layout.options.without_packs:
        listed = ", ".join(layout.options.whitelist)
        context.warn("packs_switched_off", _OFF % (" but %s" % listed if listed else ""), _OFF_HINT)
