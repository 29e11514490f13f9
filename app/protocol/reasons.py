"""The reason codes: every code that an error, a warning, a wait or a question can have, with a title for people.

An entry stands here once, whoever uses the code. `python -m pytest test/house/test_reasons.py` finds a code that is
used and not registered, and one that is registered and not used. docs/messages.md is generated from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Dict, Mapping


class About(Enum):
    """What a code is mostly about. A run that fails because of its interpreter marks its packs with the run's code."""

    NODE = "a node pack"
    RUN = "a run"
    WARNING = "a warning"
    WAITING = "a wait"
    QUESTION = "a question of a workflow"
    REQUEST = "a request"


class Retry(Enum):
    """Whether it helps to start the same again."""

    NO = "no"
    """Something else has to be asked for: another option, pack, image or machine. Or nothing is wrong."""
    HELPS = "yes"
    """Once the hint was followed on the instance or at the provider; or nobody knows, and it is worth a try."""
    LATER = "yes, by itself"
    """It passes by itself, within minutes. Automatic retries repeat it."""
    SOON = "yes, by itself, at once"
    """As LATER, and a second try within the run often works."""


@dataclass(frozen=True)
class Reason:
    """One code. `hint`: what to do, where whoever reports it does not say it better."""

    code: str
    title: str
    about: About
    retry: Retry = Retry.NO
    hint: str = ""

    @property
    def retryable(self) -> bool:
        """Whether starting the same again can help."""
        return self.retry is not Retry.NO

    @property
    def transient(self) -> bool:
        """Whether it may pass by itself: automatic retries repeat only these."""
        return self.retry in (Retry.LATER, Retry.SOON)


def find(code: str) -> Reason:
    """The entry of a code; of an unknown one, which another version has written, an entry made from its letters."""
    return REASONS.get(code) or Reason(code, code.replace("_", " ").capitalize(), About.RUN, Retry.HELPS)


def for_people(error: Mapping[str, Any]) -> Dict[str, Any]:
    """An error or a warning (`code`, `message`, `hint`) as the API shows it: with `title` and `retryable`."""
    reason = find(str(error.get("code", "")))
    fields = {"message": error.get("message", ""), "hint": error.get("hint") or reason.hint}
    return {"code": reason.code, "title": reason.title, **fields, "retryable": reason.retryable}


_NODE, _RUN, _WARNING, _WAITING = About.NODE, About.RUN, About.WARNING, About.WAITING
_QUESTION, _REQUEST = About.QUESTION, About.REQUEST
_NO, _HELPS, _LATER, _SOON = Retry.NO, Retry.HELPS, Retry.LATER, Retry.SOON
_SERVICE_LOG = "The service's log has the details."
_ROUTES = "docs/api.md lists every route and field."

_ALL = (
    # -- the instance's disk, memory and network ---------------------------------------------------------------------
    Reason("disk_full", "Disk full", _NODE, _HELPS),
    Reason("disk_quota", "Disk quota used up", _NODE, _HELPS),
    Reason("tmp_full", "No room in /tmp", _NODE, _HELPS),
    Reason("read_only", "Read-only disk", _NODE, _HELPS),
    Reason("not_permitted", "No permission", _NODE, _HELPS),
    Reason("out_of_memory", "Out of memory", _NODE, _HELPS),
    Reason("too_many_processes", "Too many processes", _NODE, _HELPS),
    Reason("system_error", "System call failed", _NODE, _HELPS),
    Reason("host_not_reached", "Server not reached", _NODE, _SOON),
    Reason("stalled", "Download stalled", _NODE, _SOON),
    Reason("transfer_cut", "Download cut off", _NODE, _SOON),
    Reason("rate_limited", "Too many requests", _NODE, _LATER),
    Reason("proxy_login", "Proxy needs a login", _NODE, _HELPS),
    Reason("certificate_not_trusted", "Certificate not trusted", _NODE, _HELPS),
    # -- cloning a pack ----------------------------------------------------------------------------------------------
    Reason("repository_not_found", "Repository not found", _NODE),
    Reason("repository_not_found_or_private", "Repository missing or private", _NODE, _HELPS),
    Reason("needs_login", "Repository needs a login", _NODE, _HELPS),
    Reason("bad_ref", "Version not found", _NODE),
    Reason("empty_repository", "Empty repository", _NODE),
    Reason("submodule_failed", "Submodule not fetched", _NODE),
    Reason("git_lfs", "Git LFS missing", _NODE, _HELPS),
    Reason("dubious_ownership", "Folder of another user", _NODE, _HELPS),
    Reason("git_failed", "git failed", _NODE, _HELPS),
    Reason("local_changes", "Local changes kept", _NODE, _HELPS),
    Reason("broken_checkout", "Broken git folder", _NODE, _HELPS),
    Reason("name_taken", "Folder name taken", _NODE, _HELPS),
    Reason("folder_busy", "Folder in use", _NODE, _HELPS),
    Reason("outside_custom_nodes", "Folder outside custom_nodes", _NODE),
    Reason("parent_failed", "Parent pack failed", _NODE, _HELPS),
    Reason("parent_missing", "Parent pack missing", _NODE),
    Reason("pack_disabled", "Pack is disabled", _NODE, _HELPS),
    Reason("registry_copy", "Installed by ComfyUI-Manager", _NODE),
    # -- a pack's Python packages ------------------------------------------------------------------------------------
    Reason("requirements_file_missing", "Requirements file missing", _NODE),
    Reason("bad_requirement", "Unreadable requirements file", _NODE),
    Reason("requirements_failed", "Packages not installed", _NODE, _HELPS),
    Reason("requirement_not_found", "Package does not exist", _NODE),
    Reason("requirement_conflict", "Packages do not fit", _NODE),
    Reason("requirement_source_unavailable", "Package repository not fetched", _NODE, _HELPS),
    Reason("registry_not_reached", "Package index not reached", _NODE, _LATER),
    Reason("registry_timed_out", "Package index too slow", _NODE, _LATER),
    Reason("hash_mismatch", "Package file differs", _NODE),
    Reason("package_unreadable", "Package file unreadable", _NODE, _HELPS),
    Reason("no_wheel", "No build for this Python", _NODE),
    Reason("python_version", "Needs another Python", _NODE),
    Reason("torch_version", "Needs another torch", _NODE),
    Reason("torch_version_wanted", "Needs another torch", _NODE),
    Reason("package_not_replaceable", "Installed package cannot be replaced", _NODE, _HELPS),
    Reason("installed_version_unreadable", "Installed version unreadable", _NODE, _HELPS),
    Reason("externally_managed", "Python belongs to the system", _NODE),
    Reason("no_installer", "No package installer", _NODE, _HELPS),
    Reason("build_failed", "Package build failed", _NODE, _HELPS),
    Reason("build_needs_torch", "Package build needs torch", _NODE, _HELPS),
    Reason("compiler_missing", "C compiler missing", _NODE, _HELPS),
    Reason("cmake_missing", "CMake missing", _NODE, _HELPS),
    Reason("rust_missing", "Rust missing", _NODE, _HELPS),
    Reason("cuda_toolkit_missing", "CUDA toolkit missing", _NODE),
    Reason("cuda_version", "CUDA versions differ", _NODE),
    Reason("python_headers_missing", "Python headers missing", _NODE, _HELPS),
    Reason("system_header_missing", "System header missing", _NODE, _HELPS),
    # -- a pack's install.py and its import --------------------------------------------------------------------------
    Reason("script_failed", "install.py failed", _NODE, _HELPS),
    Reason("script_asked", "install.py asked a question", _NODE),
    Reason("script_stalled", "install.py hung", _NODE, _HELPS),
    Reason("script_timed_out", "install.py took too long", _NODE, _HELPS),
    Reason("import_failed", "ComfyUI cannot load it", _NODE),
    Reason("import_no_nodes", "Not a node pack", _NODE),
    Reason("import_crashes", "Crashes ComfyUI", _NODE),
    Reason("import_exits", "Ends ComfyUI", _NODE),
    Reason("import_hangs", "Hangs ComfyUI", _NODE, _HELPS),
    Reason("module_missing", "Python module missing", _NODE, _HELPS),
    Reason("version_skew", "Package version does not fit", _NODE),
    Reason("numpy_2", "NumPy versions clash", _NODE),
    Reason("abi_mismatch", "Built for another torch", _NODE),
    Reason("comfyui_too_old", "ComfyUI too old", _NODE, _HELPS),
    Reason("syntax_error", "Code for another Python", _NODE),
    Reason("system_library_missing", "System library missing", _NODE, _HELPS),
    Reason("system_library_too_old", "System too old", _NODE),
    Reason("cuda_library_missing", "CUDA library missing", _NODE),
    Reason("cuda_driver_too_old", "NVIDIA driver too old", _NODE),
    Reason("no_gpu", "No GPU found", _NODE),
    Reason("cuda_out_of_memory", "GPU memory full", _NODE, _HELPS),
    # -- a pack after a plan or a rollback ---------------------------------------------------------------------------
    Reason("plan_only", "Planned only", _NODE),
    Reason("rolled_back", "Rolled back", _NODE, _HELPS),
    Reason("cannot_roll_back", "Cannot be rolled back", _NODE),
    # -- reaching the instance ---------------------------------------------------------------------------------------
    Reason(
        "connect_failed",
        "Instance not reached",
        _RUN,
        _LATER,
        "Check that the instance is running, and compare host and port with its page at the provider: both change when "
        "an instance is started again.",
    ),
    Reason(
        "connection_lost", "Connection lost", _RUN, _LATER, "The install goes on without it. Nodeferry connects again."
    ),
    Reason(
        "command_timed_out",
        "Instance too slow",
        _RUN,
        _LATER,
        "It may still be starting, or be very busy. Start again in a minute.",
    ),
    Reason(
        "transfer_failed",
        "Upload failed",
        _RUN,
        _LATER,
        "Check that the instance's disk has free space and that the login's home folder can be written.",
    ),
    Reason(
        "authentication_failed",
        "Login refused",
        _RUN,
        _HELPS,
        "Add your public SSH key (the file that ends in .pub) to the instance or to your account at the provider, then "
        "start again.",
    ),
    Reason(
        "host_key_mismatch",
        "Another machine than before",
        _RUN,
        _HELPS,
        "Providers give addresses to new machines. If you have rented a new one, forget the old key (nodeferry "
        "hostkeys forget HOST:PORT) and start again. If you have not, somebody may be listening in: do not go on.",
    ),
    Reason("host_key_revoked", "Key marked as revoked", _RUN),
    Reason("too_many_jumps", "Too many jump hosts", _RUN, hint="Check ProxyJump in ~/.ssh/config."),
    Reason("ssh_config_invalid", "SSH settings invalid", _RUN, _HELPS),
    Reason("proxy_command_unsupported", "ProxyCommand not supported", _RUN),
    Reason(
        "exec_not_supported",
        "SSH gives a terminal only",
        _RUN,
        hint='On RunPod, use the command called "SSH over exposed TCP" in place of the one with ssh.runpod.io.',
    ),
    Reason("remote_error", "Instance error", _RUN, _HELPS),
    # -- the runner on the instance ----------------------------------------------------------------------------------
    Reason(
        "runner_unsupported",
        "Instance not supported",
        _RUN,
        hint="Rent an instance with Linux and Python 3.9 or newer; every current ComfyUI image has them.",
    ),
    Reason(
        "runner_start_failed",
        "Runner did not start",
        _RUN,
        _HELPS,
        "Check that the instance's disk has free space, then start again.",
    ),
    Reason(
        "runner_protocol_error",
        "Answer not understood",
        _RUN,
        _HELPS,
        "A login script on the instance may print or stop something. Start again; if it stays so, report it with the "
        "service's log.",
    ),
    Reason(
        "runner_lost",
        "Install was killed",
        _RUN,
        _HELPS,
        "What it had left running was ended, and half-finished folders were removed. Retry the task: packs that were "
        "already cloned are kept.",
    ),
    Reason("runner_error", "Runner error", _RUN, _HELPS),
    Reason("bad_task_id", "Invalid task id", _RUN),
    Reason("bad_request", "Invalid runner request", _RUN),
    Reason("task_running", "Task still runs", _RUN, _HELPS),
    # -- the run -----------------------------------------------------------------------------------------------------
    Reason("cancelled", "Cancelled", _RUN, _HELPS, "Start again when you want to."),
    Reason("git_missing", "git missing", _RUN, _HELPS),
    Reason("ui_home_not_found", "ComfyUI not found", _RUN, _HELPS),
    Reason("ui_home_ambiguous", "Several ComfyUIs", _RUN),
    Reason("ui_home_busy", "ComfyUI is in use", _RUN, _HELPS),
    Reason("not_writable", "custom_nodes not writable", _RUN, _HELPS),
    Reason("interpreter_not_found", "ComfyUI's Python not found", _RUN),
    Reason("manifest_unavailable", "List not fetched", _RUN, _LATER),
    Reason("lock_mismatch", "Lock does not fit", _RUN),
    Reason("lock_unavailable", "Locked versions unavailable", _RUN, _HELPS),
    Reason("lock_not_exact", "Not as locked", _RUN, _HELPS),
    Reason("packages_lost", "Packages lost", _RUN, _HELPS),
    Reason("rollback_incomplete", "Rollback incomplete", _RUN, _HELPS),
    Reason("not_restarted", "ComfyUI not restarted", _RUN, _HELPS),
    Reason("none_installed", "Nothing installed", _RUN, _HELPS, "Each node pack says why it failed."),
    Reason(
        "step_timed_out",
        "Step took too long",
        _RUN,
        _HELPS,
        "What the step had started on the instance was stopped. Look at its log, then start again.",
    ),
    Reason("record_unreadable", "Task record unreadable", _RUN),
    Reason("no_thread", "Service overloaded", _RUN, _HELPS, "Start again when fewer installs are running."),
    Reason("internal_error", "Bug in Nodeferry", _RUN, hint="Please report it with the service's log."),
    # -- warnings ----------------------------------------------------------------------------------------------------
    Reason("no_torch", "torch cannot be imported", _WARNING),
    Reason("uv_unavailable", "uv not available", _WARNING, _HELPS),
    Reason("unreadable_package", "Package unreadable for uv", _WARNING),
    Reason("one_variant", "One variant chosen", _WARNING),
    Reason("protected_package_left_out", "Package left out", _WARNING),
    Reason("protected_changed", "Protected package changed", _WARNING),
    Reason("torch_changed", "torch changed", _WARNING),
    Reason("changed_by_script", "Packages changed by install.py", _WARNING),
    Reason("not_put_back", "Package not put back", _WARNING),
    Reason("variants_side_by_side", "Two variants side by side", _WARNING),
    Reason("comfyui_needs_restored", "ComfyUI's packages restored", _WARNING),
    Reason("comfyui_needs_lost", "ComfyUI's packages missing", _WARNING),
    Reason("changed_at_import", "Packages changed at import", _WARNING),
    Reason("changed_at_restart", "Packages changed at restart", _WARNING),
    Reason("environment_inconsistent", "Packages do not fit", _WARNING),
    Reason("interpreter_broken", "Python does not run", _WARNING, _HELPS),
    Reason("imports_unknown", "Import check not possible", _WARNING),
    Reason("import_untold", "Import result hidden", _WARNING),
    Reason("other_pack_breaks_comfyui", "Another pack breaks ComfyUI", _WARNING),
    Reason("not_loaded", "Not loaded after restart", _WARNING),
    Reason("kept_at_other_commit", "Kept at another version", _WARNING),
    Reason("registry_copy_replaced", "Manager's copy replaced", _WARNING),
    Reason("owner_not_set", "Files owned by root", _WARNING),
    Reason("imported_as_root", "Imported as root", _WARNING),
    Reason("probe_failed", "Machine facts missing", _WARNING),
    Reason("cancel_slow", "Cancel takes long", _WARNING),
    Reason("lock_package_unavailable", "Locked version unavailable", _WARNING, _HELPS),
    Reason("comfyui_differs", "Another ComfyUI version", _WARNING),
    Reason("gpu_differs", "Another GPU", _WARNING),
    Reason("python_differs", "Another patch of Python", _WARNING),
    Reason("not_in_lock", "Not in the lock", _WARNING),
    Reason("lock_without_login", "Login left out", _WARNING),
    Reason("no_rollback_record", "No rollback possible", _WARNING),
    Reason("files_changed", "Files changed since", _WARNING),
    Reason("kept_aside", "Copy kept aside", _WARNING),
    Reason("packages_restored", "Lost packages put back", _WARNING),
    Reason("change_undone", "Half-done change undone", _WARNING),
    Reason("old_files_kept", "Old files not removed", _WARNING),
    Reason("move_unfinished", "Move not finished", _WARNING, _HELPS),
    Reason("put_back", "Everything put back", _WARNING),
    Reason("put_back_incomplete", "Not everything put back", _WARNING),
    # -- waits -------------------------------------------------------------------------------------------------------
    Reason("waiting_for_install", "Waiting for another install", _WAITING),
    Reason("waiting_for_place", "Waiting for a free place", _WAITING),
    Reason("waiting_for_instance", "Waiting for the instance", _WAITING),
    Reason("waiting_for_ui_home", "Waiting for another install", _WAITING),
    Reason("provisioning", "Image is setting itself up", _WAITING),
    Reason("interrupted", "Connection interrupted", _WAITING),
    Reason("service_restarted", "Service was restarted", _WAITING),
    Reason("cancel_unreached", "Cancel not delivered yet", _WAITING),
    # -- questions ---------------------------------------------------------------------------------------------------
    Reason("host_key_changed", "Another machine than before?", _QUESTION),
    Reason("still_provisioning", "Image still sets up", _QUESTION, _HELPS),
    Reason("plan_changes_packages", "Packages would change", _QUESTION),
    # -- requests ----------------------------------------------------------------------------------------------------
    Reason("error", "Something went wrong", _REQUEST, _HELPS),
    Reason("invalid_request", "Invalid request", _REQUEST),
    Reason(
        "invalid_address",
        "SSH command not understood",
        _REQUEST,
        hint="Paste the SSH command from the instance's page, for example: ssh -p 12345 root@ssh6.vast.ai",
    ),
    Reason("invalid_manifest", "Invalid list of packs", _REQUEST),
    Reason("invalid_setting", "Invalid setting", _REQUEST),
    Reason("malformed_json", "Invalid JSON", _REQUEST),
    Reason("not_json", "Not JSON", _REQUEST, hint="Send the header Content-Type: application/json."),
    Reason("body_too_large", "Request too large", _REQUEST),
    Reason("not_found", "Address not found", _REQUEST, hint=_ROUTES),
    Reason("method_not_allowed", "Method not allowed", _REQUEST, hint=_ROUTES + " The header Allow names the methods."),
    Reason(
        "unauthorized",
        "Token missing or wrong",
        _REQUEST,
        hint="Send the header Authorization: Bearer TOKEN, where TOKEN is the service's NODEFERRY_TOKEN.",
    ),
    Reason("forbidden", "Not allowed", _REQUEST),
    Reason("host_not_allowed", "Host name not allowed", _REQUEST),
    Reason("cross_site_request", "Request from another site", _REQUEST),
    Reason("task_error", "Task cannot do that", _REQUEST),
    Reason("task_not_found", "Task not found", _REQUEST, hint="GET /tasks lists the known tasks."),
    Reason("task_conflict", "Task not ready for that", _REQUEST, _HELPS),
    Reason("task_not_cancellable", "Task already ended", _REQUEST),
    Reason("nothing_to_retry", "Nothing to retry", _REQUEST),
    Reason("nothing_to_roll_back", "Nothing to roll back", _REQUEST),
    Reason("log_not_found", "Log not found", _REQUEST, hint="GET /tasks/ID/log lists the task's logs."),
    Reason("fleet_not_found", "Fleet not found", _REQUEST, hint="GET /fleet lists the known fleets."),
    Reason("workflow_error", "Workflow cannot do that", _REQUEST),
    Reason("workflow_not_found", "Workflow not found", _REQUEST, hint="GET /workflows lists the known workflows."),
    Reason("workflow_conflict", "Workflow not ready for that", _REQUEST),
    Reason("too_many_tasks", "Queue full", _REQUEST, _HELPS, "Start again when a running install has ended."),
    Reason("too_many_streams", "Too many live views", _REQUEST, _HELPS, "Poll the progress, or try again in a minute."),
    Reason("service_closing", "Service is closing", _REQUEST, _HELPS, "Send it again when the service runs again."),
    Reason("not_ready", "Service not ready", _REQUEST, _HELPS),
    Reason(
        "comfyui_not_running",
        "ComfyUI does not run",
        _REQUEST,
        _HELPS,
        "Start it on the instance, or let Nodeferry restart it, then open it again.",
    ),
    Reason("no_port", "No local port", _REQUEST, _HELPS, "Close some programs on this machine, then try again."),
    # -- the service's own disk --------------------------------------------------------------------------------------
    Reason("storage_error", "Service storage failed", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("database_corrupt", "Database damaged", _REQUEST, hint=_SERVICE_LOG),
    Reason("database_full", "Service disk full", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("database_locked", "Database locked", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("database_newer", "Database from a newer version", _REQUEST, hint=_SERVICE_LOG),
    Reason("database_read_only", "Database not writable", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("database_unavailable", "Database unavailable", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("logs_unavailable", "Logs unavailable", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("progress_unavailable", "Progress files unavailable", _REQUEST, _HELPS, _SERVICE_LOG),
    # -- the stand-in, for demo and tests ----------------------------------------------------------------------------
    Reason("standin_error", "Stand-in failed", _REQUEST, _HELPS),
    Reason("standin_still_running", "Stand-in still runs", _REQUEST, _HELPS),
    Reason(
        "standin_unavailable",
        "Stand-in not possible here",
        _REQUEST,
        _HELPS,
        "The stand-in needs Linux with openssh-server and git: sudo make system-deps",
    ),
)
REASONS: Mapping[str, Reason] = {reason.code: reason for reason in _ALL}
