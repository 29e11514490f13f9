"""The table of the command line, for `tools.docs_tables`: docs/cli.md. test/cli/test_every_command.py runs them."""

from __future__ import annotations

from collections.abc import Iterator

import click

from app.cli.commands.workflow import resume
from app.cli.entry import cli
from app.cli.output import with_output_options
from tools.markdown import table

EXAMPLES = {
    "serve": "serve --host 0.0.0.0",
    "demo": "demo --keep",
    "install": 'install "ssh -p 12345 root@ssh6.vast.ai" --csv my_nodes.csv',
    "workflow": 'workflow "ssh -p 12345 root@ssh6.vast.ai" --url https://github.com/kijai/ComfyUI-KJNodes',
    "workflow resume": "workflow resume ID --answer review_plan=proceed",
    "tasks list": "tasks list --state completed",
    "tasks show": "tasks show ID --follow",
    "tasks log": "tasks log ID --node ComfyUI-KJNodes",
    "tasks audit": "tasks audit ID",
    "tasks lock": "tasks lock ID --as on-start --output start.sh",
    "tasks cancel": "tasks cancel ID",
    "tasks skip": "tasks skip ID flash-attn",
    "tasks answer": "tasks answer ID keep",
    "tasks prune": "tasks prune --older-than 30 --yes",
    "tasks retry": "tasks retry ID --node ComfyUI-KJNodes",
    "tasks repair": "tasks repair ID",
    "wheels list": "wheels list ID",
    "wheels export": "wheels export ID wheels",
    "hostkeys list": "hostkeys list",
    "hostkeys accept": 'hostkeys accept "ssh -p 12345 root@ssh6.vast.ai" SHA256:…',
    "hostkeys forget": "hostkeys forget ssh6.vast.ai:12345",
    "key list": "key list",
    "key new": "key new",
    "token new": "token new --name phone --scope read-only",
    "token list": "token list",
    "token revoke": "token revoke phone",
    "config show": "config show",
    "pyz": "pyz --output nodeferry.pyz",
    "worker": "worker --port 9100",
}


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Each command with its words, groups left out."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {each}", found) for each, found in command.commands.items())
        elif command is not None:
            yield name, command
            if name == "workflow":
                yield "workflow resume", with_output_options(resume)


def commands() -> str:
    """Every command: its words, what it does, its own flags, an example."""
    rows = [
        [f"`{_usage(words, command)}`", _sentence(command), _flags(command), f"`{EXAMPLES.get(words, '')}`"]
        for words, command in every_command()
    ]
    return table(["command", "what it does", "flags of its own", "example"], rows)


def _usage(words: str, command: click.Command) -> str:
    context = click.Context(command)
    arguments = [param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)]
    return " ".join([words, *arguments])


def _sentence(command: click.Command) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


COMMON = frozenset({"--json", "--quiet", "--help", "--server", "--data-dir", "--token", "--answer"})


def _flags(command: click.Command) -> str:
    options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
    names = [max(option.opts, key=len) for option in options]
    own = [name for name in names if name not in COMMON]
    if len(own) > 12:  # those of a run: docs/options.md has them
        return "those of a run ([options.md](options.md)), of a list (`--csv`, `--url`, …), `--ui-home`, `--venv-path`"
    return ", ".join(f"`{name}`" for name in own) or "–"
