"""The line that says why, of outputs in which it is not the last one."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.protocol.deciding_line import deciding_line
from app.runner.hints import addresses, reasons
from app.runner.process.children import Finished

OUTPUTS = {
    "CUDA toolkit not found.": "CUDA toolkit not found.\nSee https://x.example/docs\nhttps://x.example/y\n",
    "ERROR: no compiler": "building\nERROR: no compiler\n\n*******************\n***\n",
    "fatal: repository gone": """fatal: repository gone
Traceback (most recent call last):
  File "i.py", line 1, in <module>
subprocess.CalledProcessError: Command '['git']' returned non-zero exit status 128.
""",
    "ERROR: No matching distribution found for x": """ERROR: No matching distribution found for x

[notice] A new release of pip is available
""",
    "a.cc:3:10: fatal error: x.h: No such file or directory": """a.cc:3:10: fatal error: x.h: No such file or directory
    3 | #include <x.h>
      |          ^~~~~
compilation terminated.
error: command '/usr/bin/gcc' failed with exit code 1
""",
    'b.cu(7): error: identifier "y" is undefined': """b.cu(7): error: identifier "y" is undefined
b.cu(9): error: expected a ";"
2 errors detected
ninja: build stopped: subcommand failed.
RuntimeError: Error compiling objects for extension
""",
    "ValueError: wrong version": """error: subprocess-exited-with-error
× python setup.py egg_info did not run successfully.
│ exit code: 1
╰─> [3 lines of output]
    ValueError: wrong version
    [end of output]
note: This error originates from a subprocess
""",
    "fatal: no such remote'": """Traceback (most recent call last):
git.exc.GitCommandError: Cmd('git') failed due to: exit code(128)
  cmdline: git fetch
  stderr: 'fatal: no such remote'
""",
    "KeyError: 'x'": "Traceback (most recent call last):\nKeyError: 'x'\n",
    "RuntimeError: disk is odd": "RuntimeError: disk is odd\nException: Failed to install requirements\n",
    "two": "one\ntwo\n",
    "": "*****\n-----\n",
}


@pytest.mark.parametrize(("line", "output"), OUTPUTS.items())
def test_the_line_that_says_why_is_found(line: str, output: str) -> None:
    assert deciding_line(output) == line


def test_no_reason_is_an_address_or_a_row_of_asterisks() -> None:
    """Of a script, an import and a build alike."""
    said = "nvcc: something odd failed here\nhttps://x.example/install\n" + "*" * 70 + "\n"
    build = "error: Failed to build x\n  cause: it failed\n[stderr]\n" + said
    problems = [reasons.of_script(Finished(1, said.encode())), reasons.of_packages(Finished(1, build.encode()))]
    problems.append(reasons.of_import("RuntimeError: nvcc: something odd failed here\n" + "*" * 70 + "\n"))
    for problem in problems:
        assert "something odd failed here" in problem.message
        assert "****" not in problem.message
        assert "https" not in problem.message


def test_what_could_not_be_fetched_is_named(tmp_path: Path) -> None:
    """From what requests says, else from the script; never what stands behind a question mark."""
    said = (
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='models.example', port=443): Max retries "
        'exceeded with url: /x/resolve/main/face.pth?t=secret (Caused by NameResolutionError("Failed to resolve"))\n'
    )
    problem = reasons.of_script(Finished(1, said.encode()))
    assert problem.code == "host_not_reached"
    assert "What was to be fetched: https://models.example/x/resolve/main/face.pth." in problem.message
    script = tmp_path / "install.py"
    script.write_text("get('https://models.example/a.safetensors?key=secret')\nhome = 'https://models.example/'\n")
    lost = b"urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>\n"
    problem = reasons.of_script(Finished(1, lost), script)
    assert problem.message.endswith("What was to be fetched: https://models.example/a.safetensors.")
    assert "secret" not in problem.message


def test_addresses_are_bounded(tmp_path: Path) -> None:
    """A pack's file is anybody's."""
    script = tmp_path / "install.py"
    script.write_text("\n".join(f"https://h.example/{'x' * n}.pth" for n in range(1, 300)))
    found = addresses.in_code(script)
    assert len(found) == 4
    assert all(len(address) <= 200 for address in found)
