"""The command line's side of the HTTP API: one small method a route, every failure a CliError."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

import requests

from app.cli.errors import CliError, ServiceUnreachable
from app.cli.program import program
from app.domain.host_port import join_host_port

CONNECT_SECONDS = 3.05
PROOF_SECONDS = 180.0
MAX_FILE_NAME = 200
CHECK_SECONDS = 120.0
"""For a workflow, whose service may fetch the map of all node packs first, once."""
ANSWER_SECONDS = 30.0


class _Bearer(requests.auth.AuthBase):
    """An auth object rather than a header: a header would lose to an entry in the user's .netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Api:
    """A service at `base_url`. Not thread-safe; `close` when done. Raises ServiceUnreachable where nothing answers in
    time, CliError for what the service refuses."""

    def __init__(
        self, base_url: str, token: str = "", *, timeout: float = ANSWER_SECONDS, data_dir: Path | None = None
    ) -> None:
        """`data_dir`: the service's, where it is one of this machine that was found by it."""
        self.is_temporary = False
        """Whether the service was started for this command alone, and ends with it."""
        self._login_hint = _login_hint(data_dir)
        self.base_url = base_url.rstrip("/")
        self._timeout = (CONNECT_SECONDS, timeout)
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(urlsplit(self.base_url).hostname or "")
        if token:
            self._session.auth = _Bearer(token)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connections."""
        self._session.close()

    def health(self) -> dict[str, Any]:
        """Whether it is there, and its version."""
        return self._call("GET", "/health")

    def start(self, body: Mapping[str, Any]) -> str:
        """Start an install; its task_id."""
        return str(self.started(body)["task_id"])

    def started(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start an install; `task_id`, and `left_out`: what the list names and cannot be had, where there is any."""
        return self._call("POST", "/ssh/install-custom-nodes", body)

    def progress(self, task_id: str, since: int | None = None) -> dict[str, Any]:
        """The progress; with `since`, an answer with `unchanged` where nothing is newer than that revision."""
        body: dict[str, Any] = {"task_id": task_id}
        if since is not None:
            body["since"] = since
        return self._call("POST", "/ssh/install-custom-nodes/progress", body)

    def cancel(self, task_id: str) -> dict[str, Any]:
        """Ask for the install to be stopped on the instance."""
        return self._call("POST", f"/tasks/{quote(task_id, safe='')}/cancel", {})

    def skip(self, task_id: str, package: str) -> dict[str, Any]:
        """Ask for the build of a package to be skipped; the build as progress shows it."""
        answer = self._call("POST", f"/tasks/{quote(task_id, safe='')}/skip", {"package": package})
        build: dict[str, Any] = answer["build"]
        return build

    def answer(self, task_id: str, question: str, answer: str) -> dict[str, Any]:
        """Answer a question of the run; the question as progress shows it."""
        body = {"id": question, "answer": answer}
        found: dict[str, Any] = self._call("POST", f"/tasks/{quote(task_id, safe='')}/answer", body)["question"]
        return found

    def retry(self, task_id: str, nodes: Sequence[str] = ()) -> str:
        """Start a task with what did not end well, or with these packs of it; its task_id."""
        body = {"nodes": list(nodes)} if nodes else {}
        return str(self._call("POST", f"/tasks/{quote(task_id, safe='')}/retry", body)["task_id"])

    def repair(self, task_id: str) -> str:
        """Start a task that applies what an install's second round found; its task_id."""
        return str(self._call("POST", f"/tasks/{quote(task_id, safe='')}/repair", {})["task_id"])

    def tasks(self, **filters: str | int | None) -> dict[str, Any]:
        """A page of tasks."""
        return self._call("GET", "/tasks", query={name: value for name, value in filters.items() if value is not None})

    def task(self, task_id: str) -> dict[str, Any]:
        """One task with its request and progress."""
        return self._call("GET", f"/tasks/{quote(task_id, safe='')}")

    def prune(self, older_than_days: float | None) -> dict[str, Any]:
        """Forget the installs that ended longer ago; default: the service's setting."""
        return self._call("POST", "/tasks/prune", {"older_than_days": older_than_days})

    def log(self, task_id: str, *, node: str | None = None, log: str | None = None, offset: int = 0) -> dict[str, Any]:
        """A part of the run's log or of a node pack's, from a byte offset on."""
        query = {"offset": offset} | ({"node": node} if node else {}) | ({"log": log} if log else {})
        return self._call("GET", f"/tasks/{quote(task_id, safe='')}/log", query=query)

    def audit(self, task_id: str, *, offset: int = 0) -> dict[str, Any]:
        """The commands that ran on a task's instance, from one on."""
        return self._call("GET", f"/tasks/{quote(task_id, safe='')}/audit", query={"offset": offset})

    def wheels(self, task_id: str) -> list[Any]:
        """The wheels that a task's instance keeps, as the service says. The service asks the instance."""
        found = self._call("GET", f"/tasks/{quote(task_id, safe='')}/wheels").get("wheels")
        return found if isinstance(found, list) else []

    def wheel(self, task_id: str, name: str, *, offset: int = 0) -> Iterator[bytes]:
        """A kept wheel's bytes from `offset` on, as many as come: who needs all of them looks at the digest."""
        path = f"{self.base_url}/tasks/{quote(task_id, safe='')}/wheels/content"
        asked: dict[str, str | int] = {"name": name, "offset": offset}
        try:
            with self._session.get(
                path,
                params=asked,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as sent:
                if sent.status_code != 200:
                    said = sent.raw.read(4096, decode_content=True).decode("utf-8", "replace")
                    raise CliError(f"The service does not send {name}: it answered {sent.status_code} {said[:300]}")
                yield from sent.iter_content(1 << 18)
        except requests.RequestException as exc:
            raise ServiceUnreachable(f"The service at {self.base_url} stopped sending {name}.") from exc

    def run(self, run_id: str) -> dict[str, Any]:
        """A run with all that belongs to it: where it works, how it stands in one sentence, its chapters."""
        return self._call("GET", f"/runs/{quote(run_id, safe='')}")

    def start_fleet(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start an install on each of many machines; `fleet_id` and the tasks."""
        return self._call("POST", "/fleet/install-custom-nodes", body)

    def fleet(self, fleet_id: str, **query: str | int | None) -> dict[str, Any]:
        """How a fleet stands, with a page of its instances."""
        asked = {name: value for name, value in query.items() if value is not None}
        return self._call("GET", f"/fleet/{quote(fleet_id, safe='')}", query=asked)

    def fleets(self) -> list[Any]:
        """The newest fleets."""
        found = self._call("GET", "/fleet").get("fleets")
        return found if isinstance(found, list) else []

    def cancel_fleet(self, fleet_id: str) -> dict[str, Any]:
        """Stop all installs of a fleet that have not ended."""
        return self._call("POST", f"/fleet/{quote(fleet_id, safe='')}/cancel", {})

    def retry_fleet(self, fleet_id: str) -> dict[str, Any]:
        """Retry all of a fleet that did not end well."""
        return self._call("POST", f"/fleet/{quote(fleet_id, safe='')}/retry", {})

    def start_workflow(self, body: Mapping[str, Any]) -> str:
        """Start a workflow; its id."""
        return str(self._call("POST", "/workflow/start", body)["workflow_id"])

    def workflow(self, workflow_id: str) -> dict[str, Any]:
        """How a workflow stands, with its live task list."""
        return self._call("GET", "/workflow/state", query={"workflow_id": workflow_id})

    def answer_workflow(self, workflow_id: str, answer: str, question: str | None = None) -> dict[str, Any]:
        """Answer the question of a blocked workflow; `question`: its id, where it has one."""
        return self._call("POST", "/workflow/resume", {"workflow_id": workflow_id, "answer": answer, "id": question})

    def stop_workflow(self, workflow_id: str) -> dict[str, Any]:
        """Ask for the workflow to be stopped, and what it does on the instance."""
        return self._call("POST", "/workflow/stop", {"workflow_id": workflow_id})

    def ssh_keys(self) -> dict[str, Any]:
        """The keys that the service logs in with."""
        return self._call("GET", "/ssh-keys")

    def make_ssh_key(self, name: str | None) -> dict[str, Any]:
        """Make a key; default: the usual name."""
        return self._call("POST", "/ssh-keys", {"name": name} if name else {})

    def host_keys(self) -> dict[str, Any]:
        """The pinned host keys."""
        return self._call("GET", "/host-keys")

    def accept_host_key(self, ssh_connection: str, sha256: str) -> dict[str, Any]:
        """Pin the key that the instance shows now, if it has this fingerprint."""
        return self._call("POST", "/host-keys/accept", {"ssh_connection": ssh_connection, "sha256": sha256})

    def forget_host_key(self, host: str, port: int) -> dict[str, Any]:
        """Unpin every key of an address."""
        return self._call("DELETE", f"/host-keys/{quote(join_host_port(host, port), safe='')}")

    def lock(self, task_id: str, form: str = "lock") -> dict[str, Any]:
        """What an install left, in one of the forms of GET /tasks/ID/lock."""
        return self._call("GET", f"/tasks/{task_id}/lock", query={"format": form})

    def send_workflow_file(self, file: IO[bytes], name: str) -> dict[str, Any]:
        """Have the service keep the workflow in a file of this name: its `file_id` and `kind`."""
        path = f"/workflow-files?name={quote(name[-200:], safe='')}"
        return self._call("POST", path, data=file, seconds=CHECK_SECONDS)

    def prove(self, run_id: str) -> dict[str, Any]:
        """Have the run's ComfyUI asked whether the workflows are ready that the run was started with."""
        found: dict[str, Any] = self._call("POST", f"/runs/{quote(run_id, safe='')}/proof", {}, seconds=PROOF_SECONDS)[
            "proof"
        ]
        return found

    def prove_here(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Have the ComfyUI that runs on an instance asked whether workflows are ready there."""
        found: dict[str, Any] = self._call("POST", "/workflow-proofs", body, seconds=PROOF_SECONDS)["proof"]
        return found

    def check(self, manifest: Mapping[str, Any], ssh_command: str | None = None) -> dict[str, Any]:
        """A manifest as an install would read it. `ssh_command`: an instance whose network may be used."""
        through = {"ssh_connection": ssh_command} if ssh_command else {}
        return self._call("POST", "/manifests/check", {"manifest": dict(manifest), **through}, seconds=CHECK_SECONDS)

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
        data: IO[bytes] | None = None,
        seconds: float | None = None,
    ) -> dict[str, Any]:
        try:
            answer = self._session.request(
                method,
                self.base_url + path,
                json=body,
                params=query,
                data=data,
                timeout=self._timeout if seconds is None else (CONNECT_SECONDS, seconds),
                allow_redirects=False,
            )
        except requests.RequestException as exc:
            raise ServiceUnreachable(
                f"The service at {self.base_url} does not answer.", hint=f"Start one with: {program()} serve"
            ) from exc
        try:
            content = answer.json()
        except requests.JSONDecodeError:
            content = None
        if not isinstance(content, dict):
            raise CliError(
                f"{self.base_url} is not a Nodeferry service: it answered {answer.status_code} without its JSON."
            )
        if answer.status_code < 400:
            return content
        code = str(content.get("error") or "")
        error = CliError(
            str(content.get("message") or f"The service answered {answer.status_code}."),
            hint=self._login_hint if answer.status_code == 401 else _hint(code, str(content.get("hint") or "")),
            field=content.get("field"),
            code=code,
        )
        error.wrong_entries = content.get("wrong_entries") or ()
        raise error


def _login_hint(data_dir: Path | None) -> str:
    """What to do where the service does not let the command line in."""
    if data_dir is None:
        return (
            "Give a token of that service: --token TOKEN, or the setting token (NODEFERRY_TOKEN). Where the service "
            f"runs, `{program()} token new` makes one."
        )
    return (
        f"The service on {data_dir} is another user's, or an older one. Run this as that user, or name its address and "
        "a token of it: --server URL --token TOKEN (or the setting token: NODEFERRY_TOKEN)."
    )


def _hint(code: str, said: str) -> str:
    """The service's own hint, or in place of what it says to browsers what is to be done here."""
    hints = {
        "read_only_token": "Use a token of scope all: --token TOKEN, or the setting token (NODEFERRY_TOKEN).",
        "host_not_allowed": "Name the service by its address (--server http://127.0.0.1:PORT), or let it answer to "
        "that name: the setting allowed_hosts (NODEFERRY_ALLOWED_HOSTS), where it runs.",
        "too_many_attempts": "Wait a minute, and give the right token: --token TOKEN, or the setting token "
        f"(NODEFERRY_TOKEN). Where the service runs, `{program()} token new` makes one.",
    }
    return hints.get(code, said)


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, without brackets) is this machine by its spelling alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
