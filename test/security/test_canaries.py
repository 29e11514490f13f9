"""A secret is planted wherever a request, the service or the instance may have one; then every output is searched."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from app.cli.program import RUN_FILE
from app.standin.git_rules import PRIVATE
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from app.sync.http.spec.routes import OPERATIONS
from test.conftest import StandInFactory
from test.support.service import ServiceProcess

pytestmark = pytest.mark.sshd


def canary(name: str) -> str:
    """A secret that nothing else can be: which input it was planted in can be read from it."""
    return f"Cnry9{name}x7Qz"


def leaks(text: str) -> set[str]:
    """The inputs whose secrets are in a text, itself or as a login in base64."""
    found = {part.partition("x7Qz")[0] for part in text.split("Cnry9")[1:] if "x7Qz" in part[:40]}
    coded = base64.b64encode(b"user:Cnry9").decode()[:12]
    return found | ({"base64"} if coded in text else set())


TOKEN = canary("OwnToken")
OF_OTHERS = {"Asked", "Database"}
"""Planted in requests and command lines by other tests here, which may run at the same time."""
ENVIRON = {
    "HF_TOKEN": "hf_" + canary("HfToken"),
    "CIVITAI_API_KEY": canary("Civitai"),
    "GITHUB_TOKEN": "ghp_" + canary("Github"),
    "WEB_PASSWORD": canary("WebPass"),
    "ftp_proxy": f"http://user:{canary('Proxy')}@127.0.0.1:1",
    "GIT_TRACE": "1",
    "GIT_CURL_VERBOSE": "1",
}
INSTALL_PY = """
import base64, os, sys, subprocess, time
secret = os.environ["WEB_PASSWORD"]
print("environment:", dict(os.environ))
os.write(1, b"cut " + secret[:7].encode()); time.sleep(0.05); os.write(1, secret[7:].encode() + b" end\\n")
print("over lines: " + secret[:9] + "\\n      | " + secret[9:])
print("header: Basic " + base64.b64encode(("user:" + secret).encode()).decode())
print("x" * 70000 + " https://user:" + secret + "@host.example/x?token=" + secret + " " + "y" * 9000 + secret)
print(open(os.path.expanduser("~/.netrc")).read())
raise RuntimeError("no model at https://civitai.example/x?token=" + os.environ["CIVITAI_API_KEY"] + " with " + secret)
"""


def set_up(standin: StandIn, git_server: GitServer) -> None:
    """Every place where a machine keeps credentials."""
    home, port = standin.home, git_server.port
    header = base64.b64encode(f"user:{canary('GitHeader')}".encode()).decode()
    with (home / ".gitconfig").open("a", encoding="utf-8") as file:
        file.write(f"[http]\n\textraHeader = Authorization: Basic {header}\n")
        file.write(f'[url "http://user:{canary("InsteadOf")}@127.0.0.1:{port}/"]\n\tinsteadOf = https://gitlab.com/\n')
        file.write(f'[http "https://proxied.example"]\n\tproxy = user:{canary("GitProxy")}@127.0.0.1:1\n')
        file.write(f'[url "http://user:{canary("DeadHost")}@dead.invalid/"]\n\tinsteadOf = https://dead.example/\n')
    files = {
        ".netrc": f"machine other.example login user password {canary('Netrc')}\n",
        ".git-credentials": f"https://user:{canary('GitStore')}@other.example\n",
        ".config/pip/pip.conf": f"[global]\nextra-index-url = http://user:{canary('PipConf')}@127.0.0.1:1/simple\n",
        ".config/uv/uv.toml": f'[[index]]\nname = "x"\nurl = "http://{canary("UvToml")}@127.0.0.1:1/simple"\n',
        ".cache/huggingface/token": canary("HfFile"),
    }
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, "utf-8")


@contextmanager
def sampled_arguments() -> Iterator[set[str]]:
    """The command lines of all processes while the block runs, sampled; of those that have a canary."""
    seen: set[str] = set()
    looked_at: set[str] = set()
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.02):
            for entry in os.scandir("/proc"):
                with contextlib.suppress(OSError):
                    text = Path(entry.path, "cmdline").read_text("utf-8", "replace") if entry.name.isdigit() else ""
                    if text not in looked_at and leaks(text) - OF_OTHERS:
                        seen.add(text.replace("\0", " "))
                    looked_at.add(text)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(10)


def in_files(*folders: Path) -> dict[str, set[str]]:
    """The files below some folders that have a canary, with its inputs."""
    found = {}
    for path in [each for folder in folders for each in folder.rglob("*")]:
        if path.is_file() and not path.is_symlink():
            inputs = leaks(path.read_bytes().decode("latin-1")) | leaks(path.name)
            if inputs:
                found[str(path)] = inputs
    return found


def every_answer(service: ServiceProcess, task_id: str) -> Iterator[tuple[str, str]]:
    """What each GET route and page says, and polls."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    rules = [key.removeprefix("GET ").replace("<task_id>", task_id) for key in OPERATIONS if key.startswith("GET ")]
    paths = [rule for rule in rules if "<" not in rule]
    assert f"/tasks/{task_id}/audit" in paths and "/tasks" in paths
    paths += [f"/tasks/{task_id}/log?format=text", f"/tasks/{task_id}/lock?format=manager-snapshot"]
    paths += [f"/tasks/{task_id}/log?node={name}" for name in ("private", "noisy", "dead", "lines")]
    paths += [f"/tasks/{task_id}/log?log={name}" for name in ("packages", "imports", "manifest")]
    paths += [f"/ui/task/{task_id}", "/", "/docs", "/ui/history"]
    for path in paths:
        answer = requests.get(service.url + path, headers=headers, timeout=30)
        yield path, answer.text + str(answer.headers)
    yield (
        "progress",
        requests.post(
            service.url + "/ssh/install-custom-nodes/progress", json={"task_id": task_id}, headers=headers, timeout=30
        ).text,
    )


def told_by_the_command_line(service: ServiceProcess, task_id: str, home: Path) -> dict[str, set[str]]:
    """Which canaries each command shows that looks at a task."""
    said = {}
    for words in (["show"], ["show", "--json"], ["audit"], ["audit", "--json"], ["log"], ["log", "--node", "noisy"]):
        done = subprocess.run(
            [sys.executable, str(RUN_FILE), "tasks", words[0], task_id, *words[1:], "--server", service.url],
            env={**os.environ, "NODEFERRY_TOKEN": TOKEN, "HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout, done.stderr
        said[" ".join(words)] = leaks(done.stdout + done.stderr)
    return said


def own_progress_files() -> list[Path]:
    return [path for path in Path("/tmp").glob("*nodeferry*") if path.is_file()]


@pytest.mark.slow
def test_nothing_says_what_the_instance_is_set_up_with(
    tmp_path: Path, standin_factory: StandInFactory, git_server: GitServer, uv_program: Path
) -> None:
    """Clones that fail by 401 and by DNS, a resolution that fails, a script that prints everything and fails: answers,
    pages, logs, records, progress files, the run's folder and process lists have no canary. The git configuration, and
    the request in its private files, keep what they need."""
    bashrc = "".join(f"export {name}='{value}'\n" for name, value in ENVIRON.items())
    environ = {"UV_EXTRA_INDEX_URL": f"http://user:{canary('UvIndex')}@127.0.0.1:1/simple", "UV_HTTP_RETRIES": "0"}
    standin = standin_factory(git_base_url=git_server.url, with_pip=True, bashrc=bashrc, environ=environ)
    set_up(standin, git_server)
    (standin.home / ".local" / "bin").mkdir(parents=True)
    (standin.home / ".local" / "bin" / "uv").symlink_to(uv_program)
    lines = f"--extra-index-url http://user:{canary('PackIndex')}@127.0.0.1:1/simple\nno-such-package-x1\n"
    lines += f"other @ http://user:{canary('PackUrl')}@127.0.0.1:1/other-1.0-py3-none-any.whl?token={canary('Query')}\n"
    make_pack(git_server, "o", "private")
    git_server.set_rule("o/private", PRIVATE)
    noisy = make_pack(git_server, "o", "noisy", install_py=INSTALL_PY)
    needing = make_pack(git_server, "o", "lines", requirements=lines)
    urls = ["https://gitlab.com/o/private", noisy.url, needing.url, "https://dead.example/o/dead"]
    with ServiceProcess(tmp_path, token=TOKEN) as service, sampled_arguments() as arguments:
        service.authorize(TOKEN)
        task_id = service.install(standin, manifest={"urls": urls})
        last = service.ended(task_id)
        assert {row["name"]: row["state"] for row in last["nodes"]}["private"] == "failed", last
        assert "***" in service.get(f"/tasks/{task_id}/log", node="noisy")["text"]
        said = {path: leaks(text) for path, text in every_answer(service, task_id)}
        run = next(standin.home.rglob(f"{task_id}"))
        kept = in_files(service.data_dir, run)
        said |= told_by_the_command_line(service, task_id, tmp_path)
        said |= {"the service's log": leaks(service.log)}
    said |= {str(path): leaks(path.read_text("utf-8", "replace")) for path in own_progress_files()}
    assert not {where: inputs for where, inputs in said.items() if inputs}
    private = {path: inputs for path, inputs in kept.items() if os.stat(path).st_mode & 0o077 if os.path.exists(path)}
    assert not private
    assert not {path for path in kept if Path(path).suffix in (".log", ".ndjson", ".json")}, kept
    assert not {line for line in arguments if " remote-http" not in line and "git-remote-http" not in line}


SECRET = canary("Asked")
TEXTS = {
    "a login": f"https://user:{SECRET}@host.example/o/r",
    "a login that is cut": f"https://user:{'p' * 60}{SECRET}@host.example/o/r",
    "a login of a scheme that is not allowed": f"ftp://user:{SECRET}@host.example/o/r",
    "a token as the user": f"https://ghp_{SECRET}@github.com/o/r",
    "a token behind ?": f"https://host.example/o/r?access_token={SECRET}",
    "a signed address": f"https://host.example/o/r?X-Amz-Signature={SECRET}&x=1",
    "a token behind #": f"https://host.example/#token={SECRET}",
    "a password of SSH": f"ssh://root:{SECRET}@127.0.0.1:1",
    "sshpass": f"sshpass -p {SECRET} ssh root@127.0.0.1",
    "a header": f"Authorization: Bearer {SECRET}",
    "an assignment": f"HF_TOKEN={SECRET}",
    "a login, percent-encoded": quote(f"https://user:{SECRET}@host.example/o/r", safe=""),
    "a login, slashes escaped": f"https:\\/\\/user:{SECRET}@host.example\\/o",
    "a login without a scheme": f"//user:{SECRET}@host.example/o/r",
    "a proxy": f"user:{SECRET}@127.0.0.1:3128",
    "curl": f"curl -u user:{SECRET} https://host.example/o/r",
    "a flag": f"--set-civitai-api-token {SECRET}",
    "a sentence": f"the token is {SECRET}",
}
ID = "550e8400-e29b-41d4-a716-446655440000"
START = "/ssh/install-custom-nodes"


def bodies(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests with a text in every field that takes one, and where none is taken."""
    ssh = "ssh -p 1 root@127.0.0.1"
    node = {"name": "n", "repo_url": "https://github.com/o/r"}
    manifests: list[Any] = [{"urls": [text]}, {"csv": text}, {"csv": f"Name,RepoUrl\nn,{text}\n"}, {"repo": text}]
    manifests += [{"nodes": [{**node, field: text}]} for field in ("name", "repo_url", "ref", "subfolder", "commit")]
    manifests += [{"nodes": [{**node, "requirements_file": text}]}, {"lock": {"format": text}}, {text: 1}]
    manifests += [
        {"manager_snapshot": {"comfyui": "x", "git_custom_nodes": {text: {"hash": text}}, "pips": {text: ""}}}
    ]
    for manifest in manifests:
        yield "/manifests/check", {"manifest": manifest}
        yield START, {"ssh_connection": ssh, "manifest": manifest, "options": {"wait_seconds": 0}}
    for path in (START, "/ssh/test", "/host-keys/scan", "/workflow/start"):
        yield path, {"ssh_connection": text}
        yield path, {"ssh_connection": f"{ssh} -i {text}"}
        yield path, {"ssh_connection": ssh, text: 1}
    for field in ("ui_home", "venv_path", "idempotency_key"):
        yield START, {"ssh_connection": ssh, field: text, "manifest": {"urls": [text]}}
    for option in ("wheelhouse", "existing", "host_key_sha256", "ask"):
        yield START, {"ssh_connection": ssh, "options": {option: text}}
    yield START, {"ssh_connection": ssh, "options": {"allow_yanked": [text]}}
    yield "/workflow/start", {"ssh_connection": ssh, "steps": [text], "review_plan": text}
    yield "/workflow/resume", {"workflow_id": ID, "answer": text, "id": text}
    yield "/host-keys/accept", {"ssh_connection": ssh, "sha256": text}
    yield "/fleet/install-custom-nodes", {"instances": [{"ssh_connection": text}], "manifest": {"urls": [text]}}
    for rest in ("skip", "answer", "retry", "restart", "repair"):
        yield f"/tasks/{ID}/{rest}", {"package": text, "id": text, "answer": text, "nodes": [text]}
    yield "/ssh-keys", {"name": text}
    yield "/session", {"token": text}


def test_no_request_hears_its_secret_again(tmp_path: Path) -> None:
    """Whatever field it is in: no answer, list, page, log or record of the service has it, as JSON logs neither."""
    with ServiceProcess(tmp_path, log_format="json") as service:
        said: dict[str, set[str]] = {}
        for name, text in TEXTS.items():
            headers = {"Cookie": f"session={SECRET}; x=1", "X-Api-Key": SECRET, "Referer": text}
            for path, body in bodies(text):
                answer = requests.post(service.url + path, json=body, headers=headers, timeout=30)
                said[f"{name}: {path} {body}"] = leaks(answer.text) | leaks(str(answer.headers))
            for path in ("/tasks", "/workflow/state", f"/tasks/{ID}/log", "/metrics", "/no/such/page"):
                answer = requests.get(
                    service.url + path, params={"token": text, "log": text}, headers=headers, timeout=30
                )
                said[f"{name}: GET {path}"] = leaks(answer.text)
        for path in ("/tasks?limit=200", "/workflows", "/fleet", "/metrics", "/ui/history", "/", "/host-keys"):
            said[path] = leaks(requests.get(service.url + path, timeout=30).text)
        log = service.log
    assert not {where: found for where, found in said.items() if found}
    assert not [line for line in log.splitlines() if leaks(line)]
    outside = {path for path in in_files(service.data_dir) if ".db" not in path}
    assert not outside


def test_a_wrong_token_is_in_no_log(tmp_path: Path) -> None:
    """Nor is the right one, however it comes."""
    with ServiceProcess(tmp_path, token=TOKEN, log_level="DEBUG") as service:
        for headers in ({"Authorization": f"Bearer {SECRET}"}, {"Cookie": f"nodeferry-session-1={SECRET}"}):
            answer = requests.get(f"{service.url}/tasks?token={SECRET}", headers=headers, timeout=30)
            assert answer.status_code == 401 and not leaks(answer.text)
        answer = requests.post(f"{service.url}/session", json={"token": TOKEN}, timeout=30)
        assert answer.status_code == 201 and not leaks(answer.text)
        assert not leaks(service.log)


@pytest.mark.parametrize(
    "argv",
    [
        ["serve", "--port", "0"],
        ["config", "show"],
        ["install", f"ssh://root:{SECRET}@127.0.0.1:1", "--url", f"https://user:{SECRET}@h/o/r"],
        ["install", "ssh root@127.0.0.1", "--url", f"https://user:{'p' * 70}{SECRET}@h/o/r"],
        ["install", "ssh root@127.0.0.1", "--wheelhouse", f"https://user:{SECRET}@h/w"],
        ["install", "ssh root@127.0.0.1", f"--no-such-option=https://user:{SECRET}@h/o/r"],
        ["tasks", "list", "--server", f"http://user:{SECRET}@127.0.0.1:1"],
        ["tasks", "show", f"ghp_{SECRET}"],
    ],
    ids=lambda argv: " ".join(argv[:2])[:30],
)
def test_the_command_line_does_not_repeat_a_secret(argv: list[str], tmp_path: Path) -> None:
    """Neither what was typed nor what it is set up with, in errors and tracebacks."""
    url = f"postgresql+none://user:{canary('Database')}@127.0.0.1:1/x" if argv[0] in ("serve", "config") else ""
    environ = {**os.environ, "HOME": str(tmp_path), "NODEFERRY_TOKEN": TOKEN, "NODEFERRY_DATA_DIR": str(tmp_path / "d")}
    environ |= {"NODEFERRY_DATABASE_URL": url} if url else {}
    command = [sys.executable, str(RUN_FILE), *argv]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout + done.stderr and not leaks(done.stdout + done.stderr), done.stdout + done.stderr


def test_messages_name_keys_without_the_home_folder(tmp_path: Path, standin_factory: StandInFactory) -> None:
    """Who may only look reads them too; `~` is enough to put a key right."""
    standin = standin_factory()
    with ServiceProcess(tmp_path / "maria") as service:
        folder = service.home / ".ssh"
        folder.mkdir(mode=0o700)
        (folder / "id_ed25519").write_text("no key", "ascii")
        (folder / "id_ed25519").chmod(0o600)
        text = f"ssh -p {standin.port} {standin.user}@127.0.0.1 -i ~/.ssh/other"
        task_id = service.install(text, options={"wait_seconds": 0}, manifest={"urls": ["https://github.com/o/r"]})
        error = service.ended(task_id)["error"]
    assert error["code"] == "no_ssh_key"
    assert "~/.ssh/other: no such file" in error["message"] and "maria" not in error["message"], error
