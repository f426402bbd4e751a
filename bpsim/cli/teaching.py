"""`bpsim workshop` and `bpsim doctor`: the options; what they do is in `classroom`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bpsim.cli.app import app

workshop = typer.Typer(help="Lessons, challenges and incidents.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(workshop, name="workshop")

Name = Annotated[str, typer.Argument(metavar="CHALLENGE", help="Its name (bpsim workshop list).", show_default=False)]
To = Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to work in.")]
WORK = Path("bpsim-workshop")


@workshop.command(name="list")
def list_() -> None:
    """List lessons, challenges and incidents."""
    from bpsim.cli.classroom import list_material

    list_material()


@workshop.command()
def start(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Lessons and challenges.", show_default="all of them")
    ] = None,
    to: To = WORK,
) -> None:
    """Copy lessons and challenges to work on.

    What is there already stays as it is.
    """
    from bpsim.cli.classroom import start_command

    start_command(names or [], to)


@workshop.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="CHALLENGE|FILE...", help="Names, or files called so.", show_default="all in --to"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Seeds 1 to N.")] = 5,
    to: To = WORK,
) -> None:
    """Hold the goals of challenges against your changes.

    Over several seeds; exit code 4 when one is not met.
    """
    from bpsim.cli.classroom import check_command

    check_command(names or [], seeds, to)


@workshop.command()
def hint(name: Name) -> None:
    """Give a hint."""
    from bpsim.cli.classroom import hint_command

    hint_command(name)


@workshop.command()
def solution(name: Name) -> None:
    """Show a reference solution, and why it is one."""
    from bpsim.cli.classroom import solution_command

    solution_command(name)


@workshop.command()
def incident(
    name: Annotated[str, typer.Argument(metavar="INCIDENT", help="Its name (bpsim workshop list).", show_default=False)],
    answer: Annotated[
        str | None, typer.Option(metavar="TIER", help="The tier it began in: your answer.", show_default="metrics only")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Another day of the same kind.")] = 1,
) -> None:
    """Show the metrics of an incident; with --answer, what was behind it."""
    from bpsim.cli.classroom import incident_command

    incident_command(name, answer, seed)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON and nothing else.")] = False,
) -> None:
    """Check whether this machine is ready for the workshop."""
    from bpsim.cli.classroom import doctor_command

    doctor_command(as_json)
