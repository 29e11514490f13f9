"""What of a machine's settings counts for uv: the table, without a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.runner.machine import uv_config
from app.runner.machine.pip_settings import PipSettings
from app.runner.machine.uv_settings import UvSettings, decide

_UV_TOML = """# settings
index-url = "https://m.invalid/simple"
extra-index-url = [ # two
  "https://a.invalid/simple", # ]
  'https://b.invalid/[x]/simple',
]
no-cache = true
[pip]
system = true
no-index = false
[[index]]
name = "x"
url = "https://x.invalid"
[tool.other]
a = 1
"""


def settings(**environ: str) -> UvSettings:
    """For a machine with these variables and no files."""
    given = {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", **environ}
    return decide(given, PipSettings.read("", given))


def test_uvs_file_is_cut_down_to_what_says_where_packages_are(tmp_path: Path) -> None:
    path = tmp_path / "uv.toml"
    path.write_text(_UV_TOML)
    found = uv_config.read({"UV_CONFIG_FILE": str(path)})
    assert found.keys == ("extra-index-url", "index", "index-url", "no-index")
    assert found.dropped == ("no-cache", "system", "tool.other")
    kept = [line.strip() for line in _UV_TOML.splitlines() if "no-cache" not in line and "system" not in line]
    assert found.text.splitlines() == kept[1 : kept.index("[tool.other]")]


def test_pips_words_become_uvs_where_uv_has_none_of_its_own(tmp_path: Path) -> None:
    cert = tmp_path / "own.pem"
    cert.touch()
    found = settings(
        PIP_INDEX_URL="https://m.invalid/simple",
        PIP_EXTRA_INDEX_URL="https://a.invalid https://b.invalid",
        PIP_PROXY="h:3128",
        PIP_CERT=str(cert),
        PIP_CLIENT_CERT=str(cert),
        PIP_TRUSTED_HOST="a.invalid b.invalid:8080",
        PIP_RETRIES="2",
        PIP_DEFAULT_TIMEOUT="100",
        PIP_PRE="1",
        PIP_NO_INDEX="yes",
        PIP_FIND_LINKS=f"{tmp_path} /not/there https://l.invalid/",
    )
    assert found.environ == {
        "UV_DEFAULT_INDEX": "https://m.invalid/simple",
        "UV_EXTRA_INDEX_URL": "https://a.invalid https://b.invalid",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "a.invalid b.invalid:8080",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://h:3128"),
        "SSL_CERT_FILE": str(cert),
        "SSL_CLIENT_CERT": str(cert),
        "UV_HTTP_TIMEOUT": "100",
        "UV_HTTP_RETRIES": "2",
        "UV_PRERELEASE": "allow",
    }
    assert found.arguments == ("--no-index",)
    assert found.find_links == (str(tmp_path), "https://l.invalid/")
    assert found.told == ()


def test_uvs_own_settings_come_first() -> None:
    found = settings(
        UV_DEFAULT_INDEX="own=https://own.invalid/simple",
        PIP_INDEX_URL="https://m.invalid/simple",
        UV_HTTP_TIMEOUT="5",
        PIP_TIMEOUT="100",
        HTTPS_PROXY="http://own:1",
        PIP_PROXY="http://h:3128",
    )
    assert found.environ == {}
    assert found.indexes == ("https://own.invalid/simple",)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("UV_NO_CACHE", "1", True),
        ("UV_NO_CACHE", "false", False),
        ("UV_OFFLINE", "true", True),
        ("UV_SOMETHING_OF_NEXT_YEAR", "1", True),
        ("UV_SYSTEM_PYTHON", "1", False),
        ("UV_LINK_MODE", "copy", False),
        ("UV_CACHE_DIR", "", False),
    ],
)
def test_what_is_not_kept_is_unset_and_told_where_it_matters(name: str, value: str, told: bool) -> None:
    found = settings(**{name: value})
    assert found.unset == {name}
    assert any(name in each for each in found.told) == told


@pytest.mark.parametrize(
    "name", ["UV_INDEX_COMPANY_PASSWORD", "UV_HTTP_TIMEOUT", "UV_INDEX", "UV_CONCURRENT_DOWNLOADS"]
)
def test_what_says_how_packages_are_reached_is_kept(name: str) -> None:
    assert settings(**{name: "1"}).unset == set()


def test_later_files_win_and_variables_win_over_all(tmp_path: Path) -> None:
    """As pip's documentation has it."""
    own, named = tmp_path / ".config" / "pip" / "pip.conf", tmp_path / "named.conf"
    own.parent.mkdir(parents=True)
    own.write_text("[global]\nindex_url = https://u.invalid\ntimeout = 1\nretries = 1\n[install]\nretries = 3\n")
    (tmp_path / "pip.conf").write_text("[global]\ntimeout = 2\nproxy = p:1\n")
    named.write_text("[global]\nproxy = p:2\nextra-index-url =\n  https://a.invalid\n  https://b.invalid\n")
    environ = {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": str(named),
        "PIP_TIMEOUT": "4",
        "XDG_CONFIG_DIRS": str(tmp_path),
    }
    found = PipSettings.read(str(tmp_path), environ)
    assert found.text("index-url") == "https://u.invalid"
    assert (found.text("timeout"), found.text("retries"), found.text("proxy")) == ("4", "3", "p:2")
    assert found.words("extra-index-url") == ["https://a.invalid", "https://b.invalid"]
    (tmp_path / "pip.conf").write_text("no section\n")
    assert PipSettings.read(str(tmp_path), environ).unreadable == (str(tmp_path / "pip.conf"),)
