"""The reason codes of what a run did not do, or found, so that nothing runs or is written unasked: a part of the table
in reasons.py, which is where to find one."""

from __future__ import annotations

from typing import Sequence

from app.protocol.reason import About, Reason, Retry

SAFETY: Sequence[Reason] = (
    # -- what packs' code uses of the machine, and leaves running ------------------------------------------------------
    Reason("process_limit", "Too many processes started", About.NODE),
    Reason("memory_limit", "Nearly all memory used", About.NODE, Retry.HELPS),
    Reason("disk_limit", "Disk nearly full", About.NODE, Retry.HELPS),
    Reason("left_running", "Programs left running", About.WARNING),
    # -- what git may do ---------------------------------------------------------------------------------------------
    Reason("git_scheme_refused", "Address's scheme not allowed", About.NODE),
    Reason("git_config_refused", "Folder's git configuration unsafe", About.NODE, Retry.HELPS),
    Reason("git_config_ignored", "Programs in git's configuration", About.WARNING),
    Reason("repository_too_large", "Repository too large", About.NODE),
    Reason("no_room_for_repository", "No room for the repository", About.NODE, Retry.HELPS),
    # -- packs of ComfyUI's registry ---------------------------------------------------------------------------------
    Reason("registry_pack_not_found", "Pack not in the registry", About.NODE),
    Reason("registry_version_not_found", "Version not in the registry", About.NODE),
    Reason("registry_version_refused", "Version withheld by the registry", About.NODE),
    Reason("registry_unreachable", "ComfyUI's registry not reached", About.NODE, Retry.SOON),
    Reason("archive_hash_differs", "Another archive than expected", About.NODE),
    Reason("archive_unsafe", "Archive not safe to unpack", About.NODE),
    Reason("archive_too_large", "Archive too large", About.NODE),
    Reason("clone_in_place", "Installed as git clone", About.NODE),
    # -- packs that the list has disabled ----------------------------------------------------------------------------
    Reason("put_aside_disabled", "Put aside, disabled", About.NODE),
    Reason("pack_enabled", "Pack is enabled here", About.NODE),
    Reason("kept_at_other_version", "Kept at another version", About.WARNING),
    Reason("registry_version_differs", "Another version inside", About.WARNING),
    # -- plans without builds ----------------------------------------------------------------------------------------
    Reason("plan_incomplete", "Plan not complete", About.NODE),
    Reason("plan_unavailable", "No plan without builds", About.RUN),
    # -- policies, and what is known to be malicious -----------------------------------------------------------------
    Reason("script_refused", "Install script refused", About.NODE),
    Reason("prestartup_refused", "Prestartup script refused", About.NODE),
    Reason("direct_url_refused", "Direct address refused", About.NODE),
    Reason("index_refused", "Package index refused", About.NODE),
    Reason("build_refused", "Build refused", About.NODE),
    Reason("known_bad", "Known to be malicious", About.NODE),
    Reason("known_bad_present", "Malicious, and there already", About.WARNING),
    Reason("run_install_scripts", "Run install scripts?", About.QUESTION),
    Reason("run_prestartup_scripts", "Allow code at every start?", About.QUESTION),
    Reason("install_direct_urls", "Download packages from elsewhere?", About.QUESTION),
    Reason("use_extra_indexes", "Use other package indexes?", About.QUESTION),
    Reason("run_builds", "Compile packages on the machine?", About.QUESTION),
    # -- what a workflow needs of ComfyUI itself -----------------------------------------------------------------------
    Reason(
        "core_class_gone",
        "ComfyUI dropped a node",
        About.RUN,
        hint="Open the workflow in ComfyUI, and replace the node or remove it.",
    ),
    Reason("core_class_missing", "ComfyUI lacks its own node", About.WARNING),
    Reason("offered_already", "Nodes are there already", About.WARNING),
    Reason("install_for_old_comfyui", "Install all the same?", About.QUESTION),
    Reason("which_node_pack", "Which node pack?", About.QUESTION),
    # -- what scripts write --------------------------------------------------------------------------------------------
    Reason(
        "journal_changed",
        "Task's record was changed",
        About.RUN,
        hint="Packs have no reason to do that: look at the install.py of those that ran. Do not trust this machine any "
        "more: start again on a new one, without that pack.",
    ),
    Reason("answer_forged", "Answer was not yours", About.WARNING),
    Reason("stopped_on_instance", "Stopped on the instance", About.WARNING),
    Reason("own_files_changed", "Run's files were changed", About.WARNING),
    Reason("wrote_outside", "Wrote outside its folder", About.WARNING),
    Reason("look_incomplete", "Not all files looked at", About.WARNING),
    Reason("entry_left_out", "Left out of the list", About.WARNING),
    # What a run fetches for itself.
    Reason("uv_refused", "Index serves another uv", About.WARNING, Retry.HELPS),
    Reason("pip_refused", "Index serves another pip", About.WARNING, Retry.HELPS),
)
