"""The commands that make many runs, and their options; what they do is in the modules next door."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bpsim.cli.app import Scenario, Sets, app

if TYPE_CHECKING:
    from bpsim.cli.many import Common

Seeds = Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="Seeds 1 to N, the same everywhere.")]
Jobs = Annotated[int, typer.Option(min=0, max=1024, metavar="N", help="Processes.", show_default="one a core")]
On = Annotated[
    str | None,
    typer.Option(metavar="PLACE", help="A cluster instead: dask://scheduler:8786.", show_default="this machine"),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where the same command was stopped; add seeds or values.")]
One = Annotated[str | None, typer.Option(metavar="NAME", help="The variant, if there are several.", show_default=False)]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Output folder.", show_default="out/SCENARIO_COMMAND")]
Json = Annotated[bool, typer.Option("--json", help="Print the JSON file of the output folder and nothing else.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier output in that folder.")]


@app.command()
def phase(
    scenario: Scenario,
    x: Annotated[str, typer.Option(metavar="PATH=VALUES", help="Across: client.arrivals.rate=500/s..1500/s:6, or a,b,c.")],
    y: Annotated[
        str | None, typer.Option(metavar="PATH=VALUES", help="Up, such as faults.0.factor=1,2,4.", show_default=False)
    ] = None,
    variant: One = None,
    seeds: Seeds = 20,
    collapse: Annotated[
        str | None,
        typer.Option(
            metavar="CLAIM", help="What counts, such as 'after_goodput_per_s < 100'.", show_default="half fail at the end"
        ),
    ] = None,
    set_: Sets = [],  # noqa: B006
    as_json: Json = False,
    out: Out = None,
    force: Force = False,
    resume: Resume = False,
    jobs: Jobs = 0,
    on: On = None,
) -> None:
    """Map the probability of collapse over one setting or two.

    Every cell is run with the same seeds.
    """
    from bpsim.cli.mapping import phase_command

    phase_command(_common("phase", (scenario,), set_, variant, seeds, jobs, on, out, force, resume), x, y, collapse, as_json)


@app.command()
def hysteresis(
    scenario: Scenario,
    low: Annotated[str, typer.Option(metavar="RATE", help="The lowest load, such as 200/s.")],
    high: Annotated[str, typer.Option(metavar="RATE", help="The highest load, such as 1500/s.")],
    steps: Annotated[int, typer.Option(min=2, max=200, metavar="N", help="Loads from low to high.")] = 10,
    hold: Annotated[str, typer.Option(metavar="TIME", help="How long each load is held.")] = "30 s",
    variant: One = None,
    seeds: Seeds = 5,
    set_: Sets = [],  # noqa: B006
    as_json: Json = False,
    out: Out = None,
    force: Force = False,
    resume: Resume = False,
    jobs: Jobs = 0,
    on: On = None,
) -> None:
    """Raise the load step by step and lower it again.

    Where does the system break, and where does it recover? The scenario's own load and faults are left out.
    """
    from bpsim.cli.mapping import hysteresis_command

    common = _common("hysteresis", (scenario,), set_, variant, seeds, jobs, on, out, force, resume)
    hysteresis_command(common, low, high, steps, hold, as_json)


@app.command()
def compare(
    scenarios: Annotated[list[Path], typer.Argument(metavar="SCENARIO...", help="One file with variants, or several files.")],
    baseline: Annotated[
        str | None, typer.Option(metavar="NAME", help="Hold the others against this one.", show_default="the first")
    ] = None,
    variant: Annotated[list[str], typer.Option(metavar="NAME", help="Only these (repeatable).")] = [],  # noqa: B006
    metric: Annotated[list[str], typer.Option(metavar="NAME", help="Compare these metrics (repeatable).")] = [],  # noqa: B006
    seeds: Seeds = 10,
    set_: Sets = [],  # noqa: B006
    as_json: Json = False,
    out: Out = None,
    force: Force = False,
    resume: Resume = False,
    jobs: Jobs = 0,
    on: On = None,
) -> None:
    """Say what differs between variants or files, and how sure that is.

    All meet the same seeds: differences are paired. Identical inputs differ by exactly 0.
    """
    from bpsim.cli.comparing import compare_command

    common = _common("compare", tuple(scenarios), set_, None, seeds, jobs, on, out, force, resume)
    compare_command(common, baseline, tuple(variant), tuple(metric), as_json)


@app.command()
def sweep(
    scenario: Scenario,
    over: Annotated[
        list[str],
        typer.Option(
            metavar="PATH=VALUES", help="a,b,c or 10..100:5 (:5log), repeatable: a grid; with --sample 10..100 (:log)."
        ),
    ] = [],  # noqa: B006
    points: Annotated[
        Path | None, typer.Option(metavar="CSV", help="These points: paths in the first line.", show_default=False)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, metavar="N", help="N points from the ranges.", show_default="the grid")
    ] = None,
    design: Annotated[
        str | None, typer.Option(metavar="KIND", help="How to sample: lhs (Latin hypercube), random.", show_default="lhs")
    ] = None,
    variant: Annotated[list[str], typer.Option(metavar="NAME", help="Only these (repeatable).")] = [],  # noqa: B006
    seeds: Seeds = 5,
    set_: Sets = [],  # noqa: B006
    as_json: Json = False,
    out: Out = None,
    force: Force = False,
    resume: Resume = False,
    jobs: Jobs = 0,
    on: On = None,
) -> None:
    """Run a scenario over many settings: one tidy Parquet table.

    Kill it at any moment and go on with --resume: finished runs are kept as they finish.
    """
    from bpsim.cli.sweeping import Asked, sweep_command

    common = _common("sweep", (scenario,), set_, None, seeds, jobs, on, out, force, resume)
    sweep_command(common, Asked(tuple(over), points, sample, design, tuple(variant)), as_json)


@app.command()
def test(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Scenarios, or folders of them.", show_default=False)],
    seeds: Seeds = 20,
    set_: Sets = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON and nothing else.")] = False,
    jobs: Jobs = 0,
    on: On = None,
) -> None:
    """Hold every claim of scenarios over many seeds.

    Shows how often each holds, with an interval; exit code 4 when one holds less often than it says.
    """
    import os

    from bpsim.cli.testing import test_command

    test_command(paths, tuple(set_), seeds, jobs or os.cpu_count() or 1, on, as_json)


@app.command()
def tune(
    scenario: Scenario,
    smallest: Annotated[
        list[str], typer.Option(metavar="PATH=LOW..HIGH", help="Make this small: api.queue.records=1..2000 (repeatable).")
    ],
    goal: Annotated[
        list[str], typer.Option(metavar="CLAIM", help="'p99 < 500 ms', 'loss < 1%', 'memory < 64 MB', any claim (repeatable).")
    ],
    vary: Annotated[
        list[str], typer.Option(metavar="PATH=LOW..HIGH", help="This may be anything in its range (repeatable).")
    ] = [],  # noqa: B006
    variant: One = None,
    seeds: Seeds = 20,
    fresh: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="Other seeds, to say how sure it is.")] = 40,
    share: Annotated[float, typer.Option(min=0.01, max=1.0, metavar="P", help="Of the seeds, those that must meet all.")] = 1.0,
    tries: Annotated[
        int | None, typer.Option(min=10, max=10_000, metavar="N", help="Candidates, with several settings.", show_default="60")
    ] = None,
    set_: Sets = [],  # noqa: B006
    as_json: Json = False,
    out: Out = None,
    force: Force = False,
    resume: Resume = False,
    jobs: Jobs = 0,
    on: On = None,
) -> None:
    """Find the smallest setting that meets goals.

    One setting is found exactly, several are searched; seeds that the search never saw say how sure it is.
    """
    from bpsim.cli.tuning import Asked, tune_command

    common = _common("tune", (scenario,), set_, variant, seeds, jobs, on, out, force, resume)
    tune_command(common, Asked(tuple(smallest), tuple(vary), tuple(goal), share, fresh, tries), as_json)


def _common(
    command: str,
    scenarios: tuple[Path, ...],
    sets: list[str],
    variant: str | None,
    seeds: int,
    jobs: int,
    on: str | None,
    out: Path | None,
    force: bool,
    resume: bool,
) -> Common:
    import os

    from bpsim.cli.many import Common

    folder = out if out is not None else Path("out") / f"{scenarios[0].stem}_{command}"
    return Common(scenarios, tuple(sets), variant, seeds, jobs or os.cpu_count() or 1, on, folder, force, resume)
