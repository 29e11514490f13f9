"""The stand-in of an instance: sshd, home folder, ComfyUI, its Python environment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from app.standin import privsep
from app.standin.environment import Environment, make_environment
from app.standin.errors import StandInError
from app.standin.guard import Guard
from app.standin.own_processes import OwnProcesses
from app.standin.sshd import SshServer
from app.standin.sshd_config import passed_environment
from app.standin.teardown import Leftovers, tear_down
from app.standin.torch_family import fingerprint_of
from app.standin.tree import write_tree
from app.standin.ubuntu_packages import install_ubuntu_packages


@dataclass(frozen=True, slots=True)
class _Running:
    """What `start` made and `stop` needs."""

    environment: Environment
    guard: Guard
    lease: int | None
    processes: OwnProcesses | None


class StandIn:
    """A machine on loopback to install on; a context manager. One thread at a time.

    `host`, `port`, `user` and `client_key` are how to log in; `home` is HOME there, `ui_home` its ComfyUI, `python`
    that one's interpreter. A command runs in the account's real home folder, as sshd has it, with HOME set to `home`.
    """

    def __init__(
        self,
        root: Path,
        *,
        name: str = "standin",
        git_base_url: str | None = None,
        with_pip: bool = True,
        ui_home_name: str = "ComfyUI",
        environ: Mapping[str, str] | None = None,
        bashrc: str | None = None,
        banner: str | None = None,
        system_site_packages: bool = False,
        ubuntu_packages: bool = False,
        coloured_log: bool = False,
        venv_cache: Path | None = None,
        keep: bool = False,
        own_processes: bool = False,
    ) -> None:
        """Nothing happens before `start`.

        root: a folder that is not there yet, removed at the end unless `keep`; git_base_url: where clones of
        https://github.com/ go instead; ui_home_name: the folder's name, any text that a file name may be; environ: the
        caller's environment, of which pip's, uv's, certificate and proxy variables are handed on; bashrc: content of
        ~/.bashrc; banner: text before the login; system_site_packages: the torch family is the system's, not the
        environment's; ubuntu_packages: so are the packages that Ubuntu brings; coloured_log: ComfyUI writes as newer
        versions do; venv_cache: folder of environments to copy; own_processes: it sees none of this machine's other
        processes, such as other stand-ins' ComfyUIs (as root).
        """
        self.root = root.absolute()
        self.name = name
        self.home = self.root / "home"
        self.ui_home = self.root / "workspace" / ui_home_name
        self._git_base_url = git_base_url
        self._with_pip = with_pip
        self._bashrc = bashrc
        self._system_packages = (
            self.root / "system" / "dist-packages" if system_site_packages or ubuntu_packages else None
        )
        self._ubuntu_packages = ubuntu_packages
        self._coloured_log = coloured_log
        self._venv_cache = venv_cache
        self._keep = keep
        self._own_processes = own_processes
        set_env = {"HOME": str(self.home), "NODEFERRY_NODE_REGISTRY": "off", **passed_environment(environ or {})}
        self._sshd = SshServer(self.root / "sshd", set_env=set_env, banner=banner)
        self._running: _Running | None = None

    def __enter__(self) -> StandIn:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """Always loopback."""
        return self._sshd.host

    @property
    def port(self) -> int:
        """sshd's port; stays the same for the stand-in's life."""
        return self._sshd.port

    @property
    def user(self) -> str:
        """The account of whoever runs this: an sshd of an ordinary user can log in nobody else."""
        return self._sshd.user

    @property
    def client_key(self) -> Path:
        """The private key that it accepts."""
        return self._sshd.client_key

    @property
    def host_key_sha256(self) -> str:
        """Fingerprint of the host key, `SHA256:…`."""
        return self._sshd.host_key_sha256

    @property
    def address(self) -> str:
        """`user@127.0.0.1 -p PORT`, as users paste it."""
        return f"{self.user}@{self.host} -p {self.port}"

    @property
    def ssh_command(self) -> str:
        """A command line that logs in."""
        return f"ssh -p {self.port} -i {shlex.quote(str(self.client_key))} {self.user}@{self.host}"

    @property
    def venv(self) -> Path:
        """ComfyUI's Python environment."""
        return self.ui_home / "venv"

    @property
    def python(self) -> Path:
        """ComfyUI's interpreter."""
        return self.venv / "bin" / "python"

    @property
    def custom_nodes(self) -> Path:
        """Where packs go."""
        return self.ui_home / "custom_nodes"

    @property
    def sshd_log(self) -> Path:
        """What sshd says of itself."""
        return self._sshd.log

    def start(self) -> None:
        """Make everything and listen. Raises StandInError; what was made until then is removed."""
        if self.root.exists():
            raise StandInError(f"{self.root} is there already.", hint="Give a stand-in a folder of its own.")
        lease = privsep.lease()
        guard = Guard.post(self._leftovers(), lease)
        processes = None
        try:
            self._sshd.prepare()
            self.home.mkdir(mode=0o700, parents=True)
            if self._git_base_url is not None:
                base = self._git_base_url.rstrip("/") + "/"
                config = f'[url "{base}"]\n\tinsteadOf = https://github.com/\n'
                (self.home / ".gitconfig").write_text(config, "utf-8")
            if self._bashrc is not None:
                (self.home / ".bashrc").write_text(self._bashrc, "utf-8")
            write_tree(self.ui_home, coloured_log=self._coloured_log)
            environment = make_environment(
                self.venv, with_pip=self._with_pip, system_packages=self._system_packages, cache=self._venv_cache
            )
            if self._ubuntu_packages:
                install_ubuntu_packages(environment.packages)
            if self._own_processes:
                processes = OwnProcesses(self.root)
                self._sshd.enter = processes.enter
            self._sshd.start()
        except BaseException:
            self._clear(guard, lease, processes)
            raise
        self._running = _Running(environment, guard, lease, processes)

    def stop(self) -> None:
        """End sshd, its sessions and all that was started from them, and remove the folder. Raises StillRunning."""
        running, self._running = self._running, None
        if running is not None:
            self._clear(running.guard, running.lease, running.processes)

    def kill_connections(self) -> None:
        """Kill the server's side of every open connection; runners and the listener go on."""
        self._sshd.kill_connections()

    def stop_sshd(self) -> None:
        """The machine is not reachable any more; runners go on."""
        self._sshd.stop()

    def start_sshd(self) -> None:
        """It is reachable again: same port, same keys."""
        self._sshd.start()

    def use_shell(self, program: Path | None) -> None:
        """From now on the account's login shell is `program` (None: its own); sshd starts again."""
        self._sshd.login_shell = program
        self._sshd.stop()
        self._sshd.start()

    def change_host_key(self) -> None:
        """Another machine at the same address: what listens next shows another key."""
        self._sshd.change_host_key()

    def connections(self) -> int:
        """How many SSH connections are open now."""
        return self._sshd.connections()

    def family_fingerprint(self) -> str:
        """SHA-256 over every file of the torch family. For "byte for byte what it was"."""
        if self._running is None:
            raise StandInError("The stand-in is not running.")
        return fingerprint_of(self._running.environment.packages)

    def _leftovers(self) -> Leftovers:
        return Leftovers(self.root, self.port, self._keep)

    def _clear(self, guard: Guard, lease: int | None, processes: OwnProcesses | None) -> None:
        try:
            self._sshd.stop()
            if processes:
                processes.end()
            tear_down(self._leftovers())
        finally:
            guard.dismiss()
            privsep.release(lease)


def family_fingerprint(standin: StandIn) -> str:
    """SHA-256 over every file of the stand-in's torch family."""
    return standin.family_fingerprint()
