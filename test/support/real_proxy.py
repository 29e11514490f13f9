"""nginx and Caddy with the files that docs/deploy.md has, before a service of the tests."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.standin.sshd import hold_port
from test.support.waiting import wait_until

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy.md"
NAME = "gpu.localhost"
"""Browsers take every name below localhost for this machine."""
PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
_NGINX = """\
{user}pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


def blocks(language: str) -> list[str]:
    """The files of one proxy in the document: a name of its own, then below a path."""
    found = re.findall(rf"```{language}\n(.*?)```", DEPLOY.read_text("utf-8"), re.DOTALL)
    assert len(found) == 2, language
    return found


@contextmanager
def nginx(folder: Path, service: str, *, below_path: bool) -> Iterator[str]:
    """The address of the service through nginx. Skips where it is not installed."""
    program = _program("nginx")
    port, held = hold_port()
    server = _changed(blocks("nginx")[below_path], service, folder).replace(
        "listen 443 ssl", f"listen 127.0.0.1:{port} ssl"
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(user=user, folder=folder, server=server))
    argv = [program, "-e", str(folder / "early.log"), "-p", str(folder), "-c", str(config), "-g", "daemon off;"]
    with _running(argv, port, folder, held):
        yield f"https://{NAME}:{port}{'/nodeferry' if below_path else ''}"


@contextmanager
def caddy(folder: Path, service: str, *, below_path: bool) -> Iterator[str]:
    """The address of the service through Caddy. Skips where it is not installed."""
    program = _program("caddy")
    port, held = hold_port()
    text = _changed(blocks("caddy")[below_path], service, folder)
    site = f"https://{NAME}:{port}"
    tls = f"{site} {{\n    bind 127.0.0.1\n    tls {folder}/cert.pem {folder}/key.pem"
    config = folder / "Caddyfile"
    config.write_text("{\n    admin off\n    auto_https off\n}\n" + text.replace(f"{NAME} {{", tls, 1))
    with _running([program, "run", "--adapter", "caddyfile", "--config", str(config)], port, folder, held):
        yield f"{site}{'/nodeferry' if below_path else ''}"


def _program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _changed(text: str, service: str, folder: Path) -> str:
    """The document's file for this machine: another name, another port, a certificate that the test makes."""
    _certificate(folder)
    text = text.replace("127.0.0.1:5000", urlsplit(service).netloc).replace(
        "/etc/ssl/gpu.example.pem", f"{folder}/cert.pem"
    )
    return text.replace("/etc/ssl/gpu.example.key", f"{folder}/key.pem").replace("gpu.example", NAME)


@contextmanager
def _running(argv: list[str], port: int, folder: Path, held: int) -> Iterator[None]:
    environ = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    log = folder / "proxy.log"
    with log.open("wb") as said:
        process = subprocess.Popen(argv, stdout=said, stderr=said, stdin=subprocess.DEVNULL, env=environ)
    try:
        wait_until(lambda: process.poll() is not None or _answers(port), 20, f"{argv[0]} listens")
        assert process.poll() is None, log.read_text("utf-8", "replace")
        yield
    finally:
        os.close(held)
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _certificate(folder: Path) -> None:
    """cert.pem and key.pem for NAME and 127.0.0.1, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    text = key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(text)
