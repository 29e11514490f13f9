"""tools/system-deps.sh in a folder of its own, with a PATH of stand-in commands: nothing of this machine is changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from test.house.sources import ROOT

WANTED = ("sshd", "ssh", "ssh-keygen", "git", "curl", "chromium", "initdb")
USED = ("sh", "dirname", "tr", "find", "head", "sed", "grep", "touch", "chmod", "mkdir", "rm", "mv", "cat")
"""Ordinary commands that the script itself uses."""
MOVED = {
    "/usr/lib/postgresql": "postgresql",
    "/etc/postgresql-common/createcluster.d": "createcluster.d",
    "/usr/sbin/policy-rc.d": "policy-rc.d",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A pretended machine: `commands` is all of its PATH, `apt_log` gets the arguments of each apt-get."""

    folder: Path

    @property
    def commands(self) -> Path:
        return self.folder / "bin"

    @property
    def apt_log(self) -> Path:
        return self.folder / "apt.log"

    def has(self, name: str, script: str) -> None:
        path = self.commands / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def brings(self, name: str) -> str:
        """Shell text that puts a command `name` here."""
        return f'touch "{self.commands}/{name}"; chmod 755 "{self.commands}/{name}"'

    def system_deps(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        certificates = self.folder / "certificates"
        certificates.write_text("one")
        return subprocess.run(
            ["sh", str(self.folder / "tools" / "system-deps.sh"), *arguments],
            env={"PATH": str(self.commands), "SSL_CERT_FILE": str(certificates)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian machine with all that is wanted, seen by an ordinary user."""
    machine = Machine(tmp_path)
    (tmp_path / "tools").mkdir()
    script = (ROOT / "tools" / "system-deps.sh").read_text("utf-8")
    for system, pretended in MOVED.items():  # what lies outside of PATH is this folder's too
        assert system in script
        script = script.replace(f"={system}", f"={tmp_path}/{pretended}")
    (tmp_path / "tools" / "system-deps.sh").write_text(script, "utf-8")
    machine.commands.mkdir()
    for name in USED:
        machine.has(name, f'exec {shutil.which(name)} "$@"')
    for name in WANTED:
        machine.has(name, "exit 0")
    machine.has("python3", f'exec "{sys.executable}" "$@"')
    machine.has("id", "echo 1000")
    machine.has("apt-get", f'echo "$@" >>"{machine.apt_log}"; {machine.brings("git")}')
    return machine


def test_it_is_silent_when_nothing_is_missing(machine: Machine) -> None:
    """The usual case costs the reader nothing."""
    done = machine.system_deps()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_ordinary_user_is_told_the_one_line_and_nothing_changes(machine: Machine) -> None:
    """Without root it names what is missing and `sudo make system-deps`, and installs nothing."""
    (machine.commands / "git").unlink()
    done = machine.system_deps()
    assert done.returncode == 1
    assert "from the system: git\n" in done.stderr
    assert "sudo make system-deps" in done.stderr
    assert not machine.apt_log.exists()


def test_the_demo_wants_no_browser(machine: Machine) -> None:
    """And names the line that brings no more than it wants."""
    (machine.commands / "chromium").unlink()
    assert machine.system_deps("--demo").returncode == 0
    assert "from the system: chromium\n" in machine.system_deps().stderr
    (machine.commands / "git").unlink()
    done = machine.system_deps("--demo")
    assert (done.returncode, "sudo make demo-deps" in done.stderr) == (1, True)


def test_check_changes_nothing_for_root_either(machine: Machine) -> None:
    """`--check` only looks."""
    machine.has("id", "echo 0")
    (machine.commands / "curl").unlink()
    assert machine.system_deps("--check").returncode == 1
    assert not machine.apt_log.exists()


def test_root_gets_what_is_missing_and_nothing_else(machine: Machine) -> None:
    """Only the missing package is asked for; a sshd that is there is not touched."""
    machine.has("id", "echo 0")
    (machine.commands / "git").unlink()
    done = machine.system_deps()
    assert done.returncode == 0, done.stderr
    installs = [line for line in machine.apt_log.read_text().splitlines() if " install " in line]
    assert [line.split("--no-install-recommends")[1].split() for line in installs] == [["git"]]


def test_old_package_lists_are_fetched_anew_only_when_they_fail(machine: Machine) -> None:
    """A package that the lists promise and the mirror has no more is asked for again with fresh lists."""
    machine.has("id", "echo 0")
    (machine.commands / "git").unlink()
    updated = machine.folder / "updated"
    machine.has(
        "apt-get",
        f'echo "$@" >>"{machine.apt_log}"\n'
        f'case "$*" in *update) touch "{updated}"; exit 0 ;; esac\n'
        f'test -e "{updated}" && {machine.brings("git")}',
    )
    done = machine.system_deps()
    assert done.returncode == 0, done.stderr
    assert [line.split()[-1] for line in machine.apt_log.read_text().splitlines()][-2:] == ["update", "git"]


def test_elsewhere_than_on_debian_it_names_the_packages(machine: Machine) -> None:
    """Without apt-get even root is only told."""
    machine.has("id", "echo 0")
    (machine.commands / "apt-get").unlink()
    (machine.commands / "git").unlink()
    done = machine.system_deps()
    assert done.returncode == 1
    assert "package manager" in done.stderr


def test_a_python_that_is_too_old_is_passed_over(machine: Machine) -> None:
    """A newer one under its own name is taken; where there is none it says so."""
    machine.has("python3", "exit 1")
    assert "no Python >= 3.11" in machine.system_deps("--python").stderr
    machine.has("python3.12", f'exec "{sys.executable}" "$@"')
    done = machine.system_deps("--python")
    assert done.returncode == 0
    assert Path(done.stdout.strip()).exists()


def test_what_is_optional_is_installed_where_it_can_be_had_and_never_missed(machine: Machine) -> None:
    """Root's tests get login shells and Dropbear; a mirror without them changes nothing, and nobody else is asked."""
    machine.has("apt-cache", 'case "$2" in fish|nginx) exit 1 ;; esac; echo "  Candidate: 1"')
    machine.has("apt-get", f'echo "$@" >>"{machine.apt_log}"; exit 1')
    assert machine.system_deps("--tests").returncode == 0
    machine.has("id", "echo 0")
    assert machine.system_deps().returncode == 0
    assert not machine.apt_log.exists()
    done = machine.system_deps("--tests")
    assert done.returncode == 0
    assert "tests are skipped" in done.stderr
    assert machine.apt_log.read_text().split("--no-install-recommends")[1].split()[:2] == ["tcsh", "zsh"]
    assert "prometheus" in machine.apt_log.read_text()


def test_postgresql_counts_as_there_where_debian_puts_it(machine: Machine) -> None:
    """Off the PATH, in a folder for each version. The demo needs none."""
    (machine.commands / "initdb").unlink()
    assert "from the system: postgresql\n" in machine.system_deps().stderr
    assert machine.system_deps("--demo").returncode == 0
    program = machine.folder / "postgresql" / "15" / "bin" / "initdb"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    assert machine.system_deps().returncode == 0


def test_no_cluster_is_made_and_nothing_is_started_with_postgresql(machine: Machine) -> None:
    """While its package is set up; afterwards the machine's own rules hold again."""
    machine.has("id", "echo 0")
    (machine.commands / "initdb").unlink()
    seen, cluster, policy = (machine.folder / name for name in ("seen", "createcluster.d", "policy-rc.d"))
    policy.write_text("#!/bin/sh\nexit 42\n")
    policy.chmod(0o755)
    asks = "; ".join(
        f'sh "{policy}" {service} start; echo {service} $? >>"{seen}"'
        for service in ("postgresql", "postgresql@15-main.service", "ssh", "cron")
    )
    machine.has(
        "apt-get",
        f'case "$*" in *install*) cat "{cluster}"/*.conf >>"{seen}"; {asks}; {machine.brings("initdb")};; esac',
    )
    done = machine.system_deps()
    assert done.returncode == 0, done.stderr
    assert "create_main_cluster = false" in seen.read_text()
    answers = [line.split() for line in seen.read_text().splitlines() if line.split()[-1].isdigit()]
    assert answers == [["postgresql", "101"], ["postgresql@15-main.service", "101"], ["ssh", "42"], ["cron", "42"]]
    assert (list(cluster.iterdir()), policy.read_text()) == ([], "#!/bin/sh\nexit 42\n")


def test_prometheus_is_not_started_either(machine: Machine) -> None:
    """Nor whatever was installed before it in the same call."""
    machine.has("id", "echo 0")
    machine.has("apt-cache", 'test "$2" = prometheus && echo "  Candidate: 1"')
    (machine.commands / "initdb").unlink()
    seen, policy, stopped = (machine.folder / name for name in ("seen", "policy-rc.d", "stopped"))
    asks = f'sh "{policy}" prometheus start; echo $? >>"{seen}"; sh "{policy}" postgresql start; echo $? >>"{seen}"'
    machine.has("apt-get", f'case "$*" in *" prometheus") {asks} ;; esac; {machine.brings("initdb")}')
    machine.has("systemctl", f'echo "$@" >>"{stopped}"')
    done = machine.system_deps("--tests")
    assert done.returncode == 0, done.stderr
    assert seen.read_text().split() == ["101", "101"]
    assert "disable prometheus.service" in stopped.read_text()
    assert not policy.exists()
