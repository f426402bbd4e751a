"""The commands and their options; what they do is in the modules next door."""

from __future__ import annotations

import codecs
import signal
import sys
from enum import IntEnum, StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn, TextIO

import typer


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    USAGE = 2
    INVALID_SCENARIO = 3
    CLAIM_FAILED = 4
    ABORTED = 5
    INTERRUPTED = 130


class Format(StrEnum):
    """What `export` writes."""

    OPENMETRICS = "openmetrics"


app = typer.Typer(
    name="bpsim",
    help="When one stage of a data pipeline slows down, who feels it, when, and what is lost?",
    no_args_is_help=True,
    add_completion=False,
    epilog="Start with: bpsim run death_spiral. Exit codes: 0 well, 2 usage, 3 invalid scenario, 4 a claim failed, "
    "5 aborted, 130 interrupted.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Scenario = Annotated[
    Path,
    typer.Argument(metavar="SCENARIO", help="Scenario file (YAML), or the name of a shipped one.", show_default=False),
]
Sets = Annotated[
    list[str], typer.Option("--set", metavar="PATH=VALUE", help="Change the scenario: client.timeout=2s (repeatable).")
]


def say(text: str, stream: TextIO | None = None) -> None:
    """Print `text`; unlike `typer.echo` in the encoding the terminal asks for, even if that is ASCII."""
    print(text, file=stream or sys.stdout, flush=True)


def fail(message: str, code: Exit) -> NoReturn:
    """Say `message` on stderr and leave."""
    say(message, sys.stderr)
    raise typer.Exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"bpsim {version('bpsim')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    scenario: Scenario,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of every random stream.")] = 1,
    set_: Sets = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Output folder.", show_default="out/SCENARIO")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier output in that folder.")] = False,
    variant: Annotated[list[str], typer.Option(metavar="NAME", help="Run only this variant (repeatable).")] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print summary.json and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but warnings and errors.")] = False,
    figures: Annotated[str, typer.Option(metavar="FORMATS", help="Formats of the figures: svg, png, pdf.")] = "svg,png",
    no_figures: Annotated[bool, typer.Option("--no-figures", help="Neither figures nor a report: numbers only.")] = False,
    controls: Annotated[
        bool, typer.Option(help="Run a variant that ends badly again without its cause, to tell metastable from overloaded.")
    ] = True,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an aborted run.")] = False,
) -> None:
    """Run a scenario, show and save what came out.

    Every variant meets the same arrivals and the same demands.
    """
    from bpsim.cli.running import Options, run_command

    folder = out if out is not None else Path("out") / scenario.stem
    formats = () if no_figures else _formats(figures)
    run_command(Options(scenario, seed, tuple(set_), folder, force, tuple(variant), as_json, quiet, formats, controls, debug))


def _formats(text: str) -> tuple[str, ...]:
    formats = tuple(part.strip() for part in text.split(","))
    for one in formats:
        if one not in ("svg", "png", "pdf"):
            fail(f"--figures {one or text}: there are svg, png and pdf", Exit.USAGE)
    return formats


@app.command()
def explain(
    what: Annotated[
        Path,
        typer.Argument(metavar="FOLDER|SCENARIO", help="The output folder of a run, or a scenario to run.", show_default=False),
    ],
    variant: Annotated[list[str], typer.Option(metavar="NAME", help="Only this variant (repeatable).")] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed, for a scenario.")] = 1,
    set_: Sets = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON and nothing else.")] = False,
) -> None:
    """Say in words why a run went as it did.

    Where it began, how it went from tier to tier, what users felt, what was lost, what ended it.
    """
    from bpsim.cli.explaining import explain_command

    explain_command(what, tuple(variant), seed, tuple(set_), as_json)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The output folder of a run.", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The page.", show_default="FOLDER/report.html")] = None,
) -> None:
    """Make the one-page report of a run that is done.

    One file that needs no network: to read, to print, to send.
    """
    from bpsim.cli.explaining import report_command

    report_command(folder, out)


@app.command()
def validate(
    scenario: Scenario,
    set_: Sets = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print the predictions as JSON and nothing else.")] = False,
) -> None:
    """Check a scenario and predict each tier's load.

    Nothing is run.
    """
    from bpsim.cli.looking import validate_command

    validate_command(scenario, tuple(set_), as_json)


@app.command(name="flink-memory")
def flink_memory(
    conf: Annotated[Path, typer.Argument(metavar="CONF", help="flink-conf.yaml or config.yaml.", show_default=False)],
    version: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Flink's, 1.14 to 2.3.", show_default="the newest that reads such a file"),
    ] = None,
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change an option: parallelism.default=4 (repeatable).")
    ] = [],  # noqa: B006
    rate: Annotated[str, typer.Option(metavar="RATE", help="Records a second in all.")] = "1000/s",
    record_size: Annotated[str, typer.Option(metavar="SIZE", help="Bytes of a record.")] = "1kB",
    parallelism: Annotated[
        int | None, typer.Option(min=1, max=32_768, metavar="N", help="Subtasks.", show_default="parallelism.default")
    ] = None,
    exchanges: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="All-to-all exchanges in a row.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON and nothing else.")] = False,
) -> None:
    """Show what a Flink configuration means.

    The memory of a TaskManager line by line, what can be in flight and for how long, and what has no effect.
    """
    from bpsim.cli.flink_memory import flink_memory_command

    flink_memory_command(conf, version, tuple(set_), rate, record_size, parallelism, exchanges, as_json)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Output folder of a run.", show_default=False)],
    format_: Annotated[Format, typer.Option("--format", help="Prometheus' text, with times.")] = Format.OPENMETRICS,
    variant: Annotated[list[str], typer.Option(metavar="NAME", help="Only this variant (repeatable).")] = [],  # noqa: B006
    start: Annotated[str, typer.Option(metavar="TIME", help="When the simulated second 0 was.")] = "2026-01-01T00:00:00+00:00",
    step: Annotated[str, typer.Option(metavar="TIME", help="Time between two samples.")] = "5 s",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write.", show_default="standard output")] = None,
) -> None:
    """Write a result as metrics, under the names of Flink, Kafka and librdkafka.

    For Grafana: promtool tsdb create-blocks-from openmetrics FILE.
    """
    from bpsim.cli.export import export_command

    export_command(folder, tuple(variant), start, step, out)


@app.command(name="list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON and nothing else.")] = False,
) -> None:
    """List scenarios, their parts, and metrics."""
    from bpsim.cli.listing import list_command

    list_command(as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenarios, for editors."""
    import json

    from bpsim.scenario_file import json_schema

    say(json.dumps(json_schema(), indent=1))


@app.command()
def init(path: Annotated[Path, typer.Argument(help="File to create.")] = Path("scenario.yaml")) -> None:
    """Write a commented scenario to start from.

    Its JSON Schema goes beside it, so that an editor can complete and check it.
    """
    from bpsim.cli.looking import init_command

    init_command(path)


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="N", help="Port to serve at.")] = 8501,
    address: Annotated[str, typer.Option(metavar="HOST", help="Address to serve at; 0.0.0.0 is for everybody.")] = "localhost",
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """See a pipeline, break it, understand it, in a browser.

    Everything stays on this machine.
    """
    from importlib.util import find_spec

    if find_spec("streamlit") is None:
        fail("the dashboard needs Streamlit: pip install 'bpsim[dashboard]'", Exit.ABORTED)
    from bpsim.dashboard.serve import serve

    raise typer.Exit(serve(port, address, browser))


PLAIN = str.maketrans(
    {"·": "*", "…": "...", "→": "->", "≥": ">=", "≤": "<=", "²": "^2", "ⁿ": "^n", "λ": "lambda", "—": "-", "±": "+/-", "×": "x"}
)


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """For terminals that cannot show a character: something like it, or a question mark."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode("ascii", "replace").decode(), error.end


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(Exit.INTERRUPTED)


def main() -> None:
    """The console entry."""
    signal.signal(signal.SIGINT, _leave)
    codecs.register_error("bpsim.plain", _in_plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="bpsim.plain")
    app(prog_name="bpsim")
