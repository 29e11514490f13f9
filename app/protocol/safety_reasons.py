"""The reason codes of what a run did not do, or found, so that nothing runs or is written unasked: a part of the table
in reasons.py, which is where to find one."""

from __future__ import annotations

from typing import Sequence

from app.protocol.reason import About, Reason

_NODE, _WARNING, _QUESTION = About.NODE, About.WARNING, About.QUESTION

SAFETY: Sequence[Reason] = (
    # -- policies, and what is known to be malicious -----------------------------------------------------------------
    Reason("script_refused", "Install script refused", _NODE),
    Reason("prestartup_refused", "Prestartup script refused", _NODE),
    Reason("direct_url_refused", "Direct address refused", _NODE),
    Reason("index_refused", "Package index refused", _NODE),
    Reason("build_refused", "Build refused", _NODE),
    Reason("known_bad", "Known to be malicious", _NODE),
    Reason("known_bad_present", "Malicious, and there already", _WARNING),
    Reason("run_install_scripts", "Run install scripts?", _QUESTION),
    Reason("run_prestartup_scripts", "Allow prestartup scripts?", _QUESTION),
    Reason("install_direct_urls", "Install from addresses?", _QUESTION),
    Reason("use_extra_indexes", "Use packs' own indexes?", _QUESTION),
    Reason("run_builds", "Build packages here?", _QUESTION),
)
