"""The line of a program's output that says why it failed: one rule for scripts, imports and builds.

The last line seldom is it: below it stand advice, addresses, rows of asterisks, and the words of the programs around
the one that failed ("returned non-zero exit status 1"). So the lines are sorted into kinds, and the last line of the
best kind is taken; of a compiler's errors the first one, which the others follow from.
"""

from __future__ import annotations

import re
from typing import Callable, List, Optional

_MOST_LINES = 600
_MOST_CHARS = 2000
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_FRAME = re.compile(r"^[\s│╰─▶├>|]*")
_STDERR = re.compile(r"""^(?:stderr|stdout): ['"]?""")
_EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit|Exited|Warning)\b(?::|$|\()")
_HEAD_ONLY = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception):\s*$|^(?:error: |× )?No solution found when resolving")
"""What is said stands below."""
_ERROR = re.compile(
    r"(?i)^(?:\[?(?:fatal|error|err|critical)\]?\b[ :]|E: |CMake Error|clang: error|nvcc fatal|ld: |"
    r".*\bundefined reference)"
)
_COMPILER = re.compile(
    r"^\S+?[:(]\d+(?:[:,)]\d+)*\)?: (?:fatal )?error:|: (?:fatal )?error:|\berror(?:\[E\d+\]| C\d+):"
)
_AROUND = re.compile(
    r"(?i)CalledProcessError|non-?zero exit status|exit(?:ed with)? (?:code|status)\b|exit code\(|"
    r"subprocess-exited-with-error|^make(?:\[\d+\])?: \*\*\*|^ninja: build stopped|build stopped|"
    r"Failed (?:to build|building wheel)|metadata-generation-failed|build backend returned an error|"
    r"failed-wheel-build-for-install|command '?\S+'? failed|error compiling objects for extension|"
    r"^(?:SystemExit|KeyboardInterrupt)|"
    r"^(?:\w+\.)*\w*(?:Error|Exception): (?:\W*|(?i:(?:error:? )?(?:install(?:ation)?|setup|build|download|command)s? "
    r"(?:has )?failed\W*|failed to install \S+\W*))$|"
    r"could not build wheels|failed to install .*requirements|compilation terminated|CMake Error at |"
    r"Configuring incomplete|ResolutionImpossible"
)
_NOTHING = re.compile(
    r"(?i)^(?:\[?(?:note|hint|notice|info|debug|tip|warning)\]?\b|traceback|during handling|the above exception|"
    r"see (?:above|also|https?:|the)|for more|please |if (?:this|you)|this is an issue with|try |caused by:?$|"
    r"full command|cwd:|cmdline:|-{3,}|\[end of output\]|\[std(?:out|err)\]|press )|"
    r"^File \".*\", line \d+|^\d+%\|?|\d+%\|.*\||^https?://\S+$|^\S+ https?://\S+$|^[~^]+$"
)
_SURE = re.compile(
    r"fatal error: |^(?:\S+: )?ERROR: (?:Dependency|Program|C(?:\+\+)? (?:shared or static )?library|Unknown compiler)|"
    r"cannot find -l\w|^nvcc fatal\b|^fatal: |command '[^']*' failed: No such file|: command not found$"
)
"""What a program lacks; whatever else is printed follows from it."""
_SAYS_WHY = re.compile(
    r"(?i)not (?:found|installed|supported|available|permitted|set|enabled)|cannot|can't|could ?n[o']t|unable to|"
    r"failed|no (?:such|matching|module)|missing|denied|refused|requires?\b|unsupported|invalid|mismatch|aborted|killed"
)


def deciding_line(text: str) -> str:
    """That line, without colours and frames, at most 2,000 characters; empty where no line has words. Of the text the
    last 600 lines count."""
    lines = _with_what_stands_below(lines_of(text))
    said = [line for line in lines if not _NOTHING.search(line)]
    sure = next(filter(_SURE.search, said), None)
    if sure is not None:
        return sure
    compiled = [line for line in said if _COMPILER.search(line) and not _is_around(line)]
    raised = [line for line in said if (_EXCEPTION.match(line) or _ERROR.search(line)) and not _is_around(line)]
    if raised and not (compiled and _ERROR.search(raised[-1]) and "error:" not in raised[-1][:7]):
        found: Optional[str] = compiled[0] if compiled and raised[-1] in compiled else raised[-1]
    else:
        found = compiled[0] if compiled else None
    ways: List[Callable[[str], bool]] = [
        lambda line: bool(_SAYS_WHY.search(line)) and not _is_around(line),
        lambda line: not _is_around(line),
        bool,
    ]
    for way in ways:
        if found is None:
            found = next(filter(way, reversed(said)), None)
    return found if found is not None else next(reversed(lines), "")


def only_tells_of_another(line: str) -> bool:
    """Whether a line (an exception, say) only tells that another program failed."""
    return _is_around(line)


def says_why(line: str) -> bool:
    """Whether it has the words of a reason, and was not only the last one there."""
    return any(pattern.search(line) for pattern in (_SAYS_WHY, _ERROR, _EXCEPTION, _COMPILER))


def lines_of(text: str) -> List[str]:
    """The lines that have words: decoration is none."""
    parts = re.split(r"\r\n|[\r\n]", re.sub(_ANSI, "", text))[-_MOST_LINES:]
    bare = [re.sub(_STDERR, "", re.sub(_FRAME, "", part[:_MOST_CHARS])).strip() for part in parts]
    return [line for line in bare if sum(map(str.isalnum, line)) >= 3]


def _with_what_stands_below(lines: List[str]) -> List[str]:
    """Where a line has no words of its own, those that follow have them."""
    found = []
    for number, line in enumerate(lines):
        if _HEAD_ONLY.match(line):
            below = [each for each in lines[number + 1 : number + 3] if not _NOTHING.search(each)]
            found.append(" ".join([line, *below])[:_MOST_CHARS])
        else:
            found.append(line)
    return found


def _is_around(line: str) -> bool:
    return bool(_AROUND.search(line))
