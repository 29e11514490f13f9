"""All parsers, by name."""

from __future__ import annotations

from collections.abc import Mapping

from bench.fuzz.judge import Parser
from bench.fuzz.parsers import files, instance, lists

PARSERS: Mapping[str, Parser] = {parser.name: parser for parser in (*files.PARSERS, *instance.PARSERS, *lists.PARSERS)}
