"""The tables of a run's options, for `tools.docs_tables`."""

from __future__ import annotations

from app.protocol.options import OPTIONS, RESTART, RETRY, ROLLBACK, RUNNER, SERVICE, Option
from tools.markdown import table

YES = "✓"


def values(option: Option) -> str:
    """What an option may be."""
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    if option.type is bool:
        return "true, false"
    if option.is_list:
        return f"list of `{option.metavar}`"
    return f"{option.minimum} to {option.maximum}" if option.minimum is not None else f"`{option.metavar}`"


def default(option: Option) -> str:
    """What an option is where a request does not say."""
    if option.type is str and option.default is not None:
        return f"`{option.default}`"
    return option.shown_default if option.default is None or option.is_list else str(option.default).lower()


def options() -> str:
    """docs/api.md: what the options mean."""
    rows = [[f"`{name}`", values(option), default(option), option.help] for name, option in OPTIONS.items()]
    return table(["option", "values", "default", ""], rows)


def where() -> str:
    """docs/options.md: every option by every place that could know it. test/options/test_table.py checks each cell."""
    return table(["option", *CELLS], [[f"`{name}`", *cells(option).values()] for name, option in OPTIONS.items()])


CELLS = (
    "API",
    "`install`",
    "`workflow`",
    "standalone",
    "record",
    SERVICE,
    RUNNER,
    RETRY,
    ROLLBACK,
    RESTART,
    "pages",
)


def cells(option: Option) -> dict[str, str]:
    """The row of one option: ✓ where it is known, – where it is not."""
    said = {
        "API": True,
        "`install`": True,
        "`workflow`": not option.not_for_workflow,
        "standalone": not option.not_standalone,
        "record": True,
        SERVICE: SERVICE in option.readers,
        RUNNER: RUNNER in option.readers,
        **{follow_up: follow_up in option.kept_by for follow_up in (RETRY, ROLLBACK, RESTART)},
        "pages": not option.not_on_pages,
    }
    flags = dict.fromkeys(("`install`", "`workflow`", "standalone"), f" `{option.flag}`")
    return {place: YES + flags.get(place, "") if known else "–" for place, known in said.items()}


def why_not() -> str:
    """docs/options.md: why an option is not known somewhere."""
    rows = [
        [f"`{option.name}`", place, reason]
        for option in OPTIONS.values()
        for place, reason in (
            ("`workflow`", option.not_for_workflow),
            ("standalone", option.not_standalone),
            ("pages", option.not_on_pages),
        )
        if reason
    ]
    return table(["option", "not in", "why"], rows)
