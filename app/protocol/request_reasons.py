"""The reason codes of refused requests: a part of the table in reasons.py, which is where to find one."""

from __future__ import annotations

from typing import Sequence

from app.protocol.reason import About, Reason, Retry

_REQUEST = About.REQUEST
_NO, _HELPS, _LATER, _SOON = Retry.NO, Retry.HELPS, Retry.LATER, Retry.SOON
_SERVICE_LOG = "The service's log has the details."
_ROUTES = "docs/api.md lists every route and field."

REQUESTS: Sequence[Reason] = (
    # -- processes of the service ------------------------------------------------------------------------------------
    Reason("worker_gone", "Process is gone", About.WAITING),
    Reason("error", "Something went wrong", _REQUEST, _HELPS),
    Reason("invalid_request", "Invalid request", _REQUEST),
    Reason(
        "invalid_address",
        "SSH command not understood",
        _REQUEST,
        hint="Paste the SSH command from the instance's page, for example: ssh -p 12345 root@ssh6.vast.ai",
    ),
    Reason(
        "key_not_made", "SSH key not made", _REQUEST, _HELPS, "The folder ~/.ssh must belong to you and be writable."
    ),
    Reason("key_exists", "SSH key exists", _REQUEST),
    Reason("invalid_manifest", "Invalid list of packs", _REQUEST),
    Reason("workflow_file_unreadable", "Workflow file broken", _REQUEST, hint="Save or export the workflow again."),
    Reason(
        "workflow_file_unknown",
        "Not a workflow file",
        _REQUEST,
        hint="Take the workflow's JSON, or the picture, video or sound that ComfyUI saved.",
    ),
    Reason(
        "workflow_file_empty",
        "No workflow in this file",
        _REQUEST,
        hint="Choose the workflow's JSON, or the file as ComfyUI saved it.",
    ),
    Reason(
        "workflow_file_too_large",
        "Workflow file too large",
        _REQUEST,
        hint="No workflow needs that much: export it from ComfyUI as JSON.",
    ),
    Reason(
        "not_a_file", "Not the file itself", _REQUEST, hint="Send its bytes as the body: curl --data-binary @FILE …"
    ),
    Reason(
        "workflow_file_not_found",
        "Workflow file not found",
        _REQUEST,
        hint="Send the file again: it is kept for a week.",
    ),
    Reason(
        "templates_missing",
        "Templates not installed",
        _REQUEST,
        hint="In the Python environment of the service: pip install comfyui-workflow-templates-json. It needs no "
        "restart.",
    ),
    Reason(
        "template_not_found",
        "Template not found",
        _REQUEST,
        hint="GET /templates lists them; a newer comfyui-workflow-templates-json has more.",
    ),
    Reason(
        "run_has_no_workflow",
        "Run without a workflow file",
        _REQUEST,
        hint="Start an install with the workflow: then it can be checked whether it is ready.",
    ),
    Reason(
        "manifest_has_questions",
        "The list has open questions",
        _REQUEST,
        hint="Answer each under manifest.answers: a repository's address, or skip.",
    ),
    Reason(
        "host_key_unknown",
        "New machine",
        _REQUEST,
        _HELPS,
        "Compare the fingerprint with the one that your provider shows, if it does, and trust the key.",
    ),
    Reason(
        "default_list_unavailable",
        "Recommended list not readable",
        _REQUEST,
        _HELPS,
        "An install reads the list on the machine. Or paste repositories, or choose a file.",
    ),
    Reason("invalid_setting", "Invalid setting", _REQUEST),
    Reason("malformed_json", "Invalid JSON", _REQUEST),
    Reason("not_json", "Not JSON", _REQUEST, hint="Send the header Content-Type: application/json."),
    Reason("body_too_large", "Request too large", _REQUEST),
    Reason("head_too_large", "Headers too large", _REQUEST, hint="Clear the cookies of this host name in the browser."),
    Reason("malformed_request", "Invalid HTTP request", _REQUEST),
    Reason("encoding_not_supported", "Encoding not supported", _REQUEST, hint="Send the body as it is, or chunked."),
    Reason("version_not_supported", "HTTP version not supported", _REQUEST, hint="Use HTTP/1.1, without TLS."),
    Reason("request_too_slow", "Request too slow", _REQUEST, _HELPS, "Send it again, in one piece."),
    Reason(
        "too_many_connections",
        "Too many connections",
        _REQUEST,
        _HELPS,
        "Close some, or raise the setting max_connections_per_address.",
    ),
    Reason("service_busy", "Service busy", _REQUEST, _HELPS, "Try again in a few seconds; polls are answered."),
    Reason("not_found", "Address not found", _REQUEST, hint=_ROUTES),
    Reason("method_not_allowed", "Method not allowed", _REQUEST, hint=_ROUTES + " The header Allow names the methods."),
    Reason(
        "unauthorized",
        "Token missing or wrong",
        _REQUEST,
        hint="Log in on the page, or send the header Authorization: Bearer TOKEN. `run.py token new`, run where the "
        "service runs, makes a token.",
    ),
    Reason(
        "too_many_attempts",
        "Too many wrong tokens",
        _REQUEST,
        _HELPS,
        "Stop what sends the wrong token, wait, and log in again. `run.py token new` makes a new token.",
    ),
    Reason("read_only_token", "Token is read-only", _REQUEST, hint="Log in with a token of scope all."),
    Reason("forbidden", "Not allowed", _REQUEST),
    Reason("host_not_allowed", "Host name not allowed", _REQUEST),
    Reason("cross_site_request", "Request from another site", _REQUEST),
    Reason("task_error", "Task cannot do that", _REQUEST),
    Reason("task_not_found", "Task not found", _REQUEST, hint="GET /tasks lists the known tasks."),
    Reason("task_conflict", "Task not ready for that", _REQUEST, _HELPS),
    Reason(
        "idempotency_conflict",
        "Key of another request",
        _REQUEST,
        hint="Send a new idempotency_key with a new request, or the old request unchanged.",
    ),
    Reason("task_not_waiting", "Task not waiting", _REQUEST),
    Reason("task_not_cancellable", "Task already ended", _REQUEST),
    Reason(
        "build_not_skippable",
        "No such build",
        _REQUEST,
        hint="GET /tasks/ID shows the builds in progress.builds; those that wait or run can be skipped.",
    ),
    Reason("question_not_found", "No such question", _REQUEST, hint="progress.questions has those that stand."),
    Reason("question_gone", "Question already decided", _REQUEST),
    Reason("nothing_to_repair", "Nothing to repair", _REQUEST),
    Reason("nothing_to_retry", "Nothing to retry", _REQUEST),
    Reason("nothing_to_roll_back", "Nothing to roll back", _REQUEST),
    Reason("log_not_found", "Log not found", _REQUEST, hint="GET /tasks/ID/log lists the task's logs."),
    Reason(
        "fleet_too_large",
        "Fleet too large",
        _REQUEST,
        hint="Start several fleets of fewer instances, or name the repository that has the list (manifest.repo).",
    ),
    Reason("status_link_not_found", "Link not known", _REQUEST, hint="Ask for a new link."),
    Reason(
        "status_links_off",
        "No status links here",
        _REQUEST,
        hint="Start the service with NODEFERRY_STATUS_LINKS=true.",
    ),
    Reason("run_not_found", "Run not found", _REQUEST, hint="GET /runs lists the known runs."),
    Reason("instance_not_found", "Instance not found", _REQUEST, hint="GET /instances lists the known instances."),
    Reason("instance_busy", "Instance in use", _REQUEST, hint="Stop the run first, or wait for its end."),
    Reason("fleet_not_found", "Fleet not found", _REQUEST, hint="GET /fleet lists the known fleets."),
    Reason("workflow_error", "Workflow cannot do that", _REQUEST),
    Reason("workflow_not_found", "Workflow not found", _REQUEST, hint="GET /workflows lists the known workflows."),
    Reason("workflow_conflict", "Workflow not ready for that", _REQUEST),
    Reason("too_many_tasks", "Queue full", _REQUEST, _HELPS, "Start again when a running install has ended."),
    Reason(
        "too_many_keys",
        "Too many idempotency keys",
        _REQUEST,
        _HELPS,
        "A key counts for 24 hours. Start again later, or without idempotency_key.",
    ),
    Reason("too_many_fleets", "Too many fleets", _REQUEST, _HELPS, "A fleet counts for 24 hours. Start again later."),
    Reason(
        "too_many_tunnels",
        "Too many open tunnels",
        _REQUEST,
        _HELPS,
        "Close one that is not needed: DELETE /tasks/ID/open. One that nobody uses closes by itself.",
    ),
    Reason(
        "too_many_workflows",
        "Too many workflows",
        _REQUEST,
        _HELPS,
        "Answer or stop those that wait: GET /workflows lists them.",
    ),
    Reason(
        "too_many_ssh_keys", "Too many SSH keys", _REQUEST, _HELPS, "Use one of those that there are: run.py key list"
    ),
    Reason("wheel_not_found", "Wheel not found", _REQUEST, _NO, "GET /tasks/ID/wheels lists those that there are."),
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
    # -- a tunnel to ComfyUI, what it answers by itself --------------------------------------------------------------
    Reason(
        "tunnel_closed",
        "Not opened from Nodeferry",
        _REQUEST,
        hint="Press Open ComfyUI on the run's page in Nodeferry, or open the url that POST /tasks/ID/open answers.",
    ),
    Reason("service_worker_refused", "No service workers here", _REQUEST),
    Reason("comfyui_unreachable", "ComfyUI does not answer", _REQUEST, _HELPS, "It may be restarting: try again."),
    Reason("no_port", "No local port", _REQUEST, _HELPS, "Close some programs on this machine, then try again."),
    Reason(
        "notifications_unusable",
        "Nobody would be told",
        _REQUEST,
        hint="Set NODEFERRY_NOTIFY_URLS and start the service again, or switch notifications on. GET /notifications "
        "says what is missing.",
    ),
    # -- the service's own disk --------------------------------------------------------------------------------------
    Reason("storage_error", "Service storage failed", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("database_corrupt", "Database damaged", _REQUEST, hint=_SERVICE_LOG),
    Reason("database_full", "Service disk full", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("database_locked", "Database locked", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("database_newer", "Database from a newer version", _REQUEST, hint=_SERVICE_LOG),
    Reason("database_not_empty", "Database is not empty", _REQUEST),
    Reason("database_read_only", "Database not writable", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("database_unavailable", "Database unavailable", _REQUEST, _HELPS, _SERVICE_LOG),
    Reason("access_unavailable", "Tokens cannot be read", _REQUEST, _HELPS, _SERVICE_LOG),
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
