"""The pages of commands and metrics, walked from the command line itself and from `METRICS`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

HEAD = """\
# Commands

What `bpsim --help` and `bpsim COMMAND --help` say, on one page. A scenario is a file, or the name of a shipped one.
"""
METRICS_HEAD = """\
# Metrics

Every number of `summary.json`, which is every name that a [claim](../claims.md) may use. Times are in seconds, sizes in bytes.
A number that does not exist in a run (nobody recovered, nothing crashed) is NaN, which `summary.json` writes as null.
"""


def commands_page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, *_commands(_root(), "bpsim")]) + "\n"


def command_names() -> set[str]:
    """Every command as it is typed, `bpsim` apart."""
    return {name for name, _ in _leaves(_root(), "")}


def _root() -> Any:
    from typer.main import get_command

    from bpsim.cli.app import app

    return get_command(app)


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for child, inner in command.commands.items():
            yield from _leaves(inner, f"{name} {child}".strip())
    else:
        yield name, command


def _commands(root: Any, program: str) -> Iterator[str]:
    for name, command in _leaves(root, ""):
        yield f"\n## {program} {name} {{#{name.replace(' ', '-')}}}\n"
        yield " ".join((command.help or "").split())
        rows = list(_rows(command))
        if rows:
            yield "\n| argument | default | meaning |\n|---|---|---|"
            yield from rows


def _rows(command: Any) -> Iterator[str]:
    for one in command.params:
        if one.name == "help":
            continue
        is_option = one.param_type_name == "option"
        names = " ".join(f"`{text}`" for text in (*one.opts, *one.secondary_opts)) if is_option else ""
        flag = getattr(one, "is_flag", False)
        metavar = "" if is_option and flag else f"`{one.metavar or one.name.upper()}`"
        meaning = getattr(one, "help", None) or ""
        yield f"| {_cell(f'{names} {metavar}'.strip())} | {_default(one)} | {_cell(meaning)} |"


def _default(one: Any) -> str:
    shown = getattr(one, "show_default", None)
    if one.required:
        return "*needed*"
    if isinstance(shown, str):
        return shown
    value = one.default
    if value is None or value in ([], (), False) or callable(value) or repr(value).startswith("Sentinel"):
        return ""
    return f"`{value}`" if value is not True else "on"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def metrics_page() -> str:
    """The page as Markdown."""
    from bpsim.cli.listing import patterns
    from bpsim.metrics import METRICS
    from bpsim.metrics.summary import PHASES
    from bpsim.result import TIERS

    rows = [f"| `{name}` | {_cell(meaning)} |" for name, meaning in patterns(METRICS).items()]
    words = f"TIER is one of {', '.join(TIERS)}; PHASE of {', '.join(PHASES)} (the faults); QUANTILE of p50, p95, p99, p999."
    return "\n".join([METRICS_HEAD, words, "", "| metric | meaning |", "|---|---|", *rows]) + "\n"
