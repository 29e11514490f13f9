"""The packages that Ubuntu 22.04 brings for its own Python, as its images have them in dist-packages.

Only their metadata, and a module each that can be imported. Debian's packaging leaves out RECORD, WHEEL and INSTALLER;
the names, versions and forms are those of `python3-*` in jammy, some of them with versions that PEP 440 does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SystemPackage:
    """One of them. `in_file`: its metadata is one file, as distutils wrote it, not a folder."""

    name: str
    version: str
    requires: tuple[str, ...] = ()
    in_file: bool = False

    @property
    def module(self) -> str:
        """What is imported."""
        return self.name.lower().replace("-", "_").replace(".", "_")


UBUNTU_PACKAGES = (
    SystemPackage("blinker", "1.4"),
    SystemPackage("command-not-found", "0.3"),
    SystemPackage("cryptography", "3.4.8"),
    SystemPackage("dbus-python", "1.2.18"),
    SystemPackage("distro", "1.7.0"),
    SystemPackage("distro-info", "1.1build1"),
    SystemPackage("httplib2", "0.20.2"),
    SystemPackage("importlib-metadata", "4.6.4"),
    SystemPackage("jeepney", "0.7.1"),
    SystemPackage("keyring", "23.5.0", ("jeepney>=0.4.2", "SecretStorage>=3.2")),
    SystemPackage("language-selector", "0.1", in_file=True),
    SystemPackage("launchpadlib", "1.10.16", ("httplib2", "keyring", "testresources")),
    SystemPackage("lazr.restfulclient", "0.14.4", ("httplib2", "distro")),
    SystemPackage("more-itertools", "8.10.0"),
    SystemPackage("netifaces", "0.11.0"),
    SystemPackage("oauthlib", "3.2.0"),
    SystemPackage("PyGObject", "3.42.1"),
    SystemPackage("PyJWT", "2.3.0"),
    SystemPackage("pyparsing", "2.4.7"),
    SystemPackage("python-apt", "2.4.0+ubuntu4"),
    SystemPackage("python-debian", "0.1.43ubuntu1"),
    SystemPackage("PyYAML", "5.4.1"),
    SystemPackage("SecretStorage", "3.3.1", ("cryptography>=2.0", "jeepney>=0.6")),
    SystemPackage("six", "1.16.0"),
    SystemPackage("systemd-python", "234"),
    SystemPackage("ubuntu-drivers-common", "0.0.0"),
    SystemPackage("ufw", "0.36.1", in_file=True),
    SystemPackage("unattended-upgrades", "0.1", in_file=True),
    SystemPackage("xkit", "0.0.0", in_file=True),
    SystemPackage("zipp", "1.0.0"),
)


def install_ubuntu_packages(dist_packages: Path) -> None:
    """Puts them into a folder of the system's packages."""
    for package in UBUNTU_PACKAGES:
        files = {f"{package.module}/__init__.py": f"__version__ = {package.version!r}\n", **_metadata(package)}
        for name, text in files.items():
            path = dist_packages / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")


def _metadata(package: SystemPackage) -> dict[str, str]:
    about = f"{package.name.replace('-', '_')}-{package.version}.egg-info"
    text = f"Metadata-Version: 1.1\nName: {package.name}\nVersion: {package.version}\nPlatform: UNKNOWN\n"
    if package.in_file:
        return {about: text}
    files = {f"{about}/PKG-INFO": text, f"{about}/top_level.txt": f"{package.module}\n"}
    if package.requires:
        files[f"{about}/requires.txt"] = "".join(f"{line}\n" for line in package.requires)
    return files
