"""A machine on loopback with a real ComfyUI: real sshd, its checkout, its Python environment."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from app.standin import privsep
from app.standin.sshd import SshServer
from app.standin.sshd_config import passed_environment
from app.standin.teardown import Leftovers, tear_down
from app.standin.waiting import wait_until

_START_SECONDS = 180.0
_COPY_SECONDS = 300.0


class RealMachine:
    """One such machine. `ui_home` is its ComfyUI, `comfyui` the address of it once it runs."""

    def __init__(self, root: Path, sshd: SshServer) -> None:
        self.root = root
        self.ui_home = root / "workspace" / "ComfyUI"
        self._sshd = sshd
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self.comfyui = f"http://127.0.0.1:{self._port}"

    @property
    def ssh_command(self) -> str:
        """What a user pastes."""
        server = self._sshd
        return f"ssh -p {server.port} -i {shlex.quote(str(server.client_key))} {server.user}@{server.host}"

    @property
    def python(self) -> Path:
        """ComfyUI's interpreter."""
        return self.ui_home / "venv" / "bin" / "python"

    def start_comfyui(self) -> None:
        """As somebody starts it in a terminal; returns when it answers."""
        argv = ["venv/bin/python", "main.py", "--cpu", "--port", str(self._port)]
        with (self.root / "comfyui.log").open("ab") as log:
            environ = {**os.environ, "HOME": str(self.root / "home")}
            subprocess.Popen(argv, cwd=self.ui_home, stdout=log, stderr=log, env=environ, start_new_session=True)
        if not wait_until(self._answers, _START_SECONDS):
            raise TimeoutError((self.root / "comfyui.log").read_text("utf-8", "replace")[-2000:])

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.comfyui}/system_stats", timeout=5).ok
        except requests.RequestException:
            return False


@contextmanager
def real_machine(
    root: Path, comfyui: Path, environment: Path, git_url: str, environ: Mapping[str, str], *, registry: str = "off"
) -> Iterator[RealMachine]:
    """A machine with a clone of `comfyui` and the packages of the environment `environment`, for the block. `git_url`:
    where clones of https://github.com/ go instead; `environ`: what pip and uv are told; `registry`: where it
    looks for ComfyUI's."""
    home, lease = root / "home", privsep.lease()
    set_env = {"HOME": str(home), "NODEFERRY_NODE_REGISTRY": registry, **passed_environment(environ)}
    sshd = SshServer(root / "sshd", set_env=set_env)
    try:
        sshd.prepare()
        home.mkdir(parents=True)
        (home / ".gitconfig").write_text(f'[url "{git_url}/"]\n\tinsteadOf = https://github.com/\n')
        machine = RealMachine(root, sshd)
        _call("git", "clone", "-q", str(comfyui), str(machine.ui_home))
        _call(str(environment / "bin/python"), "-m", "venv", "--without-pip", str(machine.ui_home / "venv"))
        _same_packages(environment, machine.ui_home / "venv")
        sshd.start()
        yield machine
    finally:
        sshd.stop()
        tear_down(Leftovers(root, sshd.port))
        privsep.release(lease)


def _same_packages(source: Path, target: Path) -> None:
    """As links to the same files where that goes: gigabytes are in them, and installers write new files."""
    for packages in source.glob("lib/python3*/site-packages"):
        place = target / packages.relative_to(source)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(packages, place, symlinks=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _call(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=_COPY_SECONDS)
