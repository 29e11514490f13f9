"""What of a program's output is a secret."""

from __future__ import annotations

import pytest

from app.protocol.redaction import masked, masked_bytes

SECRETS = [
    "fatal: unable to access 'https://someone:{}@host.example/owner/repo/'",
    "Cloning git+https://{}@github.com/owner/repo",
    "git clone ssh://git:{}@host.example/repo",
    "Authorization: Bearer {}",
    "token is ghp_{} and goes on",
    "HF_TOKEN=hf_{}",
    "http://127.0.0.1:5000/#token=ndf_{}",
]


@pytest.mark.parametrize("line", SECRETS)
def test_a_secret_becomes_as_many_asterisks(line: str) -> None:
    """Offsets in a log stay what they are, and what stands around it stays readable."""
    secret = "S3cr3tS3cr3tS3cr3tS3cr3t"
    shown = masked(line.format(secret))
    assert secret not in shown
    assert len(shown) == len(line.format(secret))
    assert shown.startswith(line[:5])
    assert masked_bytes(line.format(secret).encode()) == shown.encode()


@pytest.mark.parametrize(
    "line",
    [
        "https://github.com/owner/repo@v1.2",
        "ssh://git@github.com/owner/repo",
        "git@github.com:owner/repo",
        "mail a@b.example",
        "hf_hub",
        "numpy @ file:///tmp/x.whl",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    """A log is there to be read."""
    assert masked(line) == line
