"""The commands and their options; what they do is in the modules next door."""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    USAGE = 2
    INVALID_SCENARIO = 3
    CLAIM_FAILED = 4
    ABORTED = 5
    INTERRUPTED = 130


app = typer.Typer(
    name="bpsim",
    help="When one stage of a data pipeline slows down, who feels it, when, and what is lost?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Scenario = Annotated[Path, typer.Argument(help="Scenario file (YAML), or the name of a shipped one.", show_default=False)]
Sets = Annotated[list[str], typer.Option("--set", metavar="PATH=VALUE", help="Change the scenario: client.retry.kind=none.")]


def fail(message: str, code: Exit) -> NoReturn:
    """Say `message` on stderr and leave."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bpsim {version('bpsim')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    pass


@app.command()
def run(
    scenario: Scenario,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random stream.")] = 1,
    set_: Sets = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Output folder.", show_default="out/<scenario>")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output folder.")] = False,
    variant: Annotated[list[str], typer.Option(help="Run only this variant (repeatable).")] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print summary.json and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    figures: Annotated[bool, typer.Option(help="Draw the figures.")] = True,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an aborted run.")] = False,
) -> None:
    """Run every variant of a scenario on the same arrivals, show what came out, and write it to a folder."""
    from bpsim.cli.running import Options, run_command

    folder = out if out is not None else Path("out") / scenario.stem
    run_command(Options(scenario, seed, tuple(set_), folder, force, tuple(variant), as_json, quiet, figures, debug))


@app.command()
def validate(scenario: Scenario, set_: Sets = []) -> None:  # noqa: B006
    """Check a scenario and predict the utilisation of each tier, without running it."""
    from bpsim.cli.looking import validate_command

    validate_command(scenario, tuple(set_))


@app.command(name="list")
def list_() -> None:
    """List shipped scenarios, everything a scenario may be built from, and the metrics claims may use."""
    from bpsim.cli.looking import list_command

    list_command()


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    import json

    from bpsim.scenario_file import json_schema

    typer.echo(json.dumps(json_schema(), indent=1))


@app.command()
def init(path: Annotated[Path, typer.Argument(help="File to create.")] = Path("scenario.yaml")) -> None:
    """Write a commented scenario to start from, and its schema beside it."""
    from bpsim.cli.looking import init_command

    init_command(path)


def main() -> None:
    """The console entry."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()
