"""All parsers, by name."""

from __future__ import annotations

from collections.abc import Mapping

from bench.fuzz.judge import Parser
from bench.fuzz.parsers import files, instance, lists, other_files, runner_files, runner_output, workflow_files

_ALL = (
    *files.PARSERS,
    *instance.PARSERS,
    *lists.PARSERS,
    *other_files.PARSERS,
    *runner_files.PARSERS,
    *runner_output.PARSERS,
    *workflow_files.PARSERS,
)
PARSERS: Mapping[str, Parser] = {parser.name: parser for parser in _ALL}
