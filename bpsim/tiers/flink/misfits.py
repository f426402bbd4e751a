"""Jobs that cannot be: operators that Flink would refuse, whose options do nothing, or whose records would count twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import combinations

from bpsim.tiers.flink.graph import OperatorSpec
from bpsim.tiers.flink.topology import inputs_of, is_chained, overlap, readers_of, ways_of

Wrong = tuple[tuple[str | int, ...], str]
"""(path, what is wrong)."""


def misfits(operators: Sequence[OperatorSpec]) -> Iterator[Wrong]:
    """What would be refused, or would do nothing."""
    if len(operators) == 1:
        yield ("operators",), "a job needs a source and a sink"
    named = list(_names(operators))
    yield from named
    yield from _exchanges(operators)
    yield from _async(operators)
    if operators and not named:
        yield from _sizes(operators)
        yield from _shares(operators) or _records_that_meet(operators)


def _names(operators: Sequence[OperatorSpec]) -> Iterator[Wrong]:
    for number, operator in enumerate(operators):
        above = [other.name for other in operators[:number]]
        if operator.name in above:
            yield ("operators", number, "name"), f"there is another operator called {operator.name}"
        if operator.inputs and not number:
            yield ("operators", 0, "inputs"), "the first operator is the source; it reads what the consumer fetches"
            continue
        for position, name in enumerate(operator.inputs):
            here = ("operators", number, "inputs", position)
            if name in operator.inputs[:position]:
                yield here, f"{operator.name} reads {name} already"
            elif name not in above:
                near = get_close_matches(name, above, 1)
                hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(above)}"
                yield here, f"no operator above it is called {name}; {hint}"


def _exchanges(operators: Sequence[OperatorSpec]) -> Iterator[Wrong]:
    inputs, readers = inputs_of(operators), readers_of(operators)
    for number, operator in enumerate(operators):
        here = ("operators", number)
        if not number and operator.exchange != "rebalance":
            yield (*here, "exchange"), "the first operator is the source; nothing comes before it"
        if not operator.chained and operator.exchange != "forward":
            yield (*here, "chained"), f"only exchange: forward chains operators, not {operator.exchange}"
        for source in inputs[number]:
            before = operators[source]
            if operator.exchange == "forward" and operator.parallelism != before.parallelism:
                yield (
                    (*here, "parallelism"),
                    f"Forward partitioning does not allow change of parallelism: {before.parallelism} before it, here "
                    f"{operator.parallelism}; rebalance would do",
                )
            if is_chained(before, operator, len(inputs[number])) and len(readers[source]) > 1:
                others = ", ".join(operators[reader].name for reader in readers[source] if reader != number)
                yield (*here, "chained"), f"{others} reads {before.name}, too, and a task is a line here; set chained: false"


def _async(operators: Sequence[OperatorSpec]) -> Iterator[Wrong]:
    inputs, readers = inputs_of(operators), readers_of(operators)
    for number, operator in enumerate(operators):
        here = ("operators", number, "async_io")
        if operator.async_sink is not None and readers[number]:
            said = operators[readers[number][0]].name
            yield ("operators", number, "async_sink"), f"only an operator that nobody reads is a sink, and {said} reads it"
        if operator.async_io is None:
            continue
        around = [(source, number) for source in inputs[number]] + [(number, reader) for reader in readers[number]]
        if number == 0:
            yield here, "the first operator is the source; it has no records yet to ask about"
        elif not readers[number]:
            yield here, "its answers have nowhere to go; a job ends in a sink"
        elif any(is_chained(operators[one], operators[other], len(inputs[other])) for one, other in around):
            yield here, "async I/O is a task of its own here; set chained: false, or another exchange, before and after it"


def _shares(operators: Sequence[OperatorSpec]) -> list[Wrong]:
    wrong: list[Wrong] = []
    inputs = inputs_of(operators)
    for number, operator in enumerate(operators):
        if operator.share is not None and len(inputs[number]) != 1:
            wrong.append((("operators", number, "share"), "of the records of one input; this operator has not one"))
    for number, readers in enumerate(readers_of(operators)):
        sharers = [reader for reader in readers if operators[reader].share is not None]
        total = sum(operators[reader].share or 0.0 for reader in sharers)
        if sharers and abs(total - 1) > 1e-9:
            what = f"those who share the records of {operators[number].name} out get {total:g} of them in all; that has to be 1"
            wrong.append((("operators", sharers[-1], "share"), what))
    return wrong


def _sizes(operators: Sequence[OperatorSpec]) -> Iterator[Wrong]:
    """What an operator emits "as it came" has one size."""
    emitted: list[int | None] = []
    for number, (operator, sources) in enumerate(zip(operators, inputs_of(operators), strict=True)):
        sizes = {emitted[source] for source in sources}
        if len(sizes) > 1 and operator.record_size is None:
            said = ", ".join(f"{operators[source].name} {emitted[source] or 'as they came'}" for source in sources)
            yield ("operators", number, "record_size"), f"the records of its inputs differ ({said}); say which it emits"
        emitted.append(operator.record_size or (emitted[sources[0]] if sources else None))


def _records_that_meet(operators: Sequence[OperatorSpec]) -> list[Wrong]:
    ways, inputs = ways_of(operators), inputs_of(operators)
    for number, operator in enumerate(operators):
        for one, other in combinations(inputs[number], 2):
            if any(overlap(first, second) for first in ways[one] for second in ways[other]):
                what = (
                    f"a record would come to {operator.name} twice, by {operators[one].name} and by {operators[other].name}: "
                    "joining copies is not modelled; share the records out (share), or give a branch a sink of its own"
                )
                return [(("operators", number, "inputs"), what)]
    if ways[-1] != [frozenset()]:
        lost = ", ".join(sorted({operators[reader].name for way in ways[-1] for _, reader in way}))
        what = f"its writing counts, being the last, and only what is given to {lost} comes to it; the rest would end elsewhere"
        return [(("operators", len(operators) - 1), what)]
    return []
