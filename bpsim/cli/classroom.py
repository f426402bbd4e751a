"""What `bpsim workshop` and `bpsim doctor` do. Nothing here needs a network."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

import typer

from bpsim.cli.app import Exit, fail, say
from bpsim.cli.explaining import lines
from bpsim.cli.looking import load_or_fail
from bpsim.folder import SCHEMA_VERSION
from bpsim.names import the
from bpsim.workshop.challenges import Attempt, Challenge, catalogue, check, is_met
from bpsim.workshop.handout import hand_out
from bpsim.workshop.material import incidents, notebooks


def list_material() -> None:
    """Names, and what each asks."""
    say("Lessons (bpsim workshop start NAME)")
    for path in notebooks():
        say(f"  {path.stem}")
    say("\nChallenges (bpsim workshop start, check, hint, solution NAME)")
    for name, one in catalogue().items():
        say(f"  {name:<27} {one.minutes:>2} min  {one.question}")
    say("\nIncidents (bpsim workshop incident NAME): which tier did it begin in?")
    say(f"  {', '.join(incidents())}")


def _known(name: str, names: Iterable[str], kind: str) -> str:
    """`name`, or leave with the nearest."""
    there = list(names)
    if name not in there:
        near = get_close_matches(name, there, 1, 0.4)
        fail(
            f"there is no {kind} '{name}'; {f'did you mean {near[0]}?' if near else 'bpsim workshop list shows all'}",
            Exit.USAGE,
        )
    return name


def start_command(names: list[str], to: Path) -> None:
    """Copy the material."""
    for name in names:
        _known(name, [path.stem for path in notebooks()] + list(catalogue()), "lesson or challenge")
    try:
        written = hand_out(names, to)
    except OSError as error:
        fail(f"cannot write to {to}: {error}", Exit.ABORTED)
    for path in written:
        say(f"written: {path}")
    if not written:
        say(f"all of it is in {to} already; remove a file to have it as it was")
    if any(path.suffix == ".yaml" for path in written):
        say("Next: change a challenge's file, then bpsim workshop check NAME")
    if any(path.suffix == ".ipynb" for path in written):
        say("Lessons: jupyter lab, in that folder (pip install 'bpsim[notebooks]')")


def check_command(names: list[str], seeds: int, to: Path) -> None:
    """Judge files; leave with 4 when a goal is not met."""
    files = [_file_of(name, to) for name in names] or sorted((to / "challenges").glob("*.yaml"))
    if not files:
        fail(f"nothing to check in {to / 'challenges'}; begin with bpsim workshop start", Exit.USAGE)
    passed = []
    for path in files:
        challenge = catalogue()[_known(path.stem, catalogue(), "challenge")]
        attempt = check(challenge, load_or_fail(path, ()), range(1, seeds + 1))
        _show(challenge, attempt)
        passed.append(attempt.passed)
    if len(passed) > 1:
        say(f"\n{sum(passed)} of {len(passed)} solved")
    if not all(passed):
        raise typer.Exit(Exit.CLAIM_FAILED)


def _file_of(name: str, to: Path) -> Path:
    given = Path(name)
    if given.suffix == ".yaml":
        return given
    path = to / "challenges" / f"{_known(name, catalogue(), 'challenge')}.yaml"
    if not path.exists():
        fail(f"{path} is not there; begin with bpsim workshop start {name}", Exit.USAGE)
    return path


def _show(challenge: Challenge, attempt: Attempt) -> None:
    say(f"{challenge.name}: {challenge.question}")
    for what in attempt.forbidden:
        say(f"  not yours to change: {what}")
    for goal in attempt.goals:
        say(f"  {'met ' if is_met(goal) else 'MISSED'} {goal.claim}   [{goal.passed} of {goal.seeds} seeds]")
        for seed, judged in list(goal.failures.items())[:1]:
            say(f"       seed {seed}: {judged.numbers}")
    after = (
        f"bpsim workshop solution {challenge.name} shows another way"
        if attempt.passed
        else f"bpsim workshop hint {challenge.name}"
    )
    say(f"  {'solved' if attempt.passed else 'not yet'}: {after}")


def hint_command(name: str) -> None:
    """Say it."""
    say(catalogue()[_known(name, catalogue(), "challenge")].hint)


def solution_command(name: str) -> None:
    """The change, and why."""
    challenge = catalogue()[_known(name, catalogue(), "challenge")]
    say(challenge.answer)
    say(f"\n{challenge.why}")


def incident_command(name: str, answer: str | None, seed: int) -> None:
    """The metrics; after an answer, the story."""
    from bpsim.workshop.incident import Incident

    incident = Incident.of(_known(name, incidents(), "incident"), seed)
    if answer is not None:
        story = incident.story
        _known(answer, incident.tiers, "tier")
        began = "no tier" if story.root is None else the(story.root)
        say(f"{'Right' if answer == story.root else 'No'}: you said {the(answer)}, it began in {began}.\n")
        say("\n".join(lines("", story, 100_000)))
        return
    rows = list(incident.table())
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        say("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
    say("\nOf each tier: busy % / blocked % / how many wait before it.")
    say(f"Which tier did it begin in ({', '.join(incident.tiers)})? bpsim workshop incident {name} --answer TIER")


def doctor_command(as_json: bool) -> None:
    """Look at the machine; leave with 5 when something needed is missing."""
    from bpsim.workshop.doctor import examine

    found = list(examine(Path.cwd()))
    if as_json:
        say(json.dumps({"schema_version": SCHEMA_VERSION, "checks": [vars(one) for one in found]}, indent=1))
    else:
        for one in found:
            sign = "ok  " if one.well else "FIX " if one.needed else "note"
            say(f"{sign} {one.what:<12} {one.found}{'' if one.well or not one.fix else f': {one.fix}'}")
        say("ready" if all(one.well or not one.needed for one in found) else "not ready: see FIX above")
    if not all(one.well or not one.needed for one in found):
        raise typer.Exit(Exit.ABORTED)
