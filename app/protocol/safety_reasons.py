"""The reason codes of what a run did not do, or found, so that nothing runs or is written unasked: a part of the table
in reasons.py, which is where to find one."""

from __future__ import annotations

from typing import Sequence

from app.protocol.reason import About, Reason

_RUN, _WARNING = About.RUN, About.WARNING

SAFETY: Sequence[Reason] = (
    # -- what scripts write --------------------------------------------------------------------------------------------
    Reason(
        "journal_changed",
        "Task's record was changed",
        _RUN,
        hint="Packs have no reason to do that: look at the install.py of those that ran. Do not trust this machine any "
        "more: start again on a new one, without that pack.",
    ),
    Reason("answer_forged", "Answer was not yours", _WARNING),
    Reason("stopped_on_instance", "Stopped on the instance", _WARNING),
    Reason("own_files_changed", "Run's files were changed", _WARNING),
    Reason("wrote_outside", "Wrote outside its folder", _WARNING),
)
