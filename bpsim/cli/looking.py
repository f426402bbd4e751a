"""`bpsim validate`, `list` and `init`, and finding a scenario."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from bpsim import shipped
from bpsim.cli.app import Exit, fail, say
from bpsim.folder import SCHEMA_VERSION
from bpsim.scenario_file import ScenarioFile, json_schema, load

SCHEMA_FILE = "bpsim.schema.json"


def find(path: Path) -> Path:
    """`path`, or the shipped scenario of that name when there is no such file."""
    if path.exists():
        return path
    name = path.name if path.suffix == ".yaml" else f"{path.name}.yaml"
    there = shipped.folder() / name
    return there if there.exists() and path.parent in (Path("."), Path("scenarios")) else path


def load_or_fail(path: Path, sets: tuple[str, ...]) -> ScenarioFile:
    """The scenario file, or every problem it has on stderr and exit code 3."""
    from bpsim.document import InvalidScenario

    try:
        return load(find(path), sets)
    except InvalidScenario as error:
        fail(str(error), Exit.INVALID_SCENARIO)


def validate_command(path: Path, sets: tuple[str, ...], as_json: bool) -> None:
    """Say `valid`, and what each tier is in for."""
    from bpsim.cli.prediction import prediction_document, prediction_lines

    file = load_or_fail(path, sets)
    if as_json:
        predictions = prediction_document(file.variants)
        document = {"schema_version": SCHEMA_VERSION, "question": file.question, "remarks": list(file.remarks)}
        say(json.dumps(document | {"variants": predictions}, indent=1, allow_nan=False))
        return
    say(f"valid: {file.question}")
    for remark in file.remarks:
        say(f"note: {remark}")
    for line in prediction_lines(file.variants):
        say(line)


def list_command() -> None:
    """Walk the unions and print every member with its first sentence."""
    from bpsim import metrics
    from bpsim.admission import Admission
    from bpsim.arrivals import Arrivals
    from bpsim.breaker import Breaker
    from bpsim.budget import RetryBudget
    from bpsim.distributions import Distribution
    from bpsim.faults import Fault
    from bpsim.limits import Limit
    from bpsim.result import TIERS
    from bpsim.retry import Retry
    from bpsim.scenario import Scenario
    from bpsim.shedding import Shedding
    from bpsim.throttle import Throttle

    say("Scenarios (bpsim run NAME)")
    for file in sorted(shipped.folder().glob("*.yaml")):
        say(f"  {file.stem:<22} {_question(file)}")
    say("\nTiers, from the user to the database")
    for tier in TIERS:
        spec = next(members(Scenario.model_fields[tier].annotation))
        say(f"  {tier:<22} {_first_sentence(spec)}")
        say(f"  {'':<22} options: {', '.join(spec.model_fields)}")
    for title, union in (
        ("Arrivals", Arrivals),
        ("Distributions", Distribution),
        ("Retries (client.retry)", Retry),
        ("Retry budgets (client.retry.budget)", RetryBudget),
        ("Circuit breakers (client.breaker)", Breaker),
        ("Throttles (client.throttle)", Throttle),
        ("Admission (api.admission)", Admission),
        ("Concurrency limits (api.admission.limit)", Limit),
        ("Shedding (api.shedding)", Shedding),
        ("Faults", Fault),
    ):
        say(f"\n{title} (kind: …)")
        for member in members(union):
            kinds = " | ".join(get_args(member.model_fields["kind"].annotation))
            say(f"  {kinds:<22} {_first_sentence(member)}")
    say("\nKafka's options, under their own names (in the scenario, or in a file: config: producer.properties)")
    for line in _kafka_options():
        say(f"  {line}")
    say("\nMetrics (expect: variant.metric > …)")
    for name, meaning in patterns(metrics.METRICS).items():
        say(f"  {name:<34} {meaning}")
    say(f"  TIER: {', '.join(TIERS)}. PHASE: before, during, after. QUANTILE: p50, p95, p99, p999.")


def _kafka_options() -> Iterator[str]:
    """Those that act with the option they stand for, and the names of those that do not matter."""
    from bpsim.kafka.tables import TABLES

    for tier, tables in TABLES.items():
        for client, table in tables.items():
            yield f"{tier} ({client} {table.latest})"
            for option in table.acting:
                yield f"  {option.name:<42} {tier}.{option.path}"
            yield f"  accepted and ignored: {', '.join(option.name for option in table.options if option.ignored)}"


def patterns(names: dict[str, str]) -> dict[str, str]:
    """Metrics by name; those that exist for every tier, phase or quantile are one line."""
    from bpsim.result import TIERS

    families = (
        (re.compile(rf"^({'|'.join(TIERS)})_(?=(?:busy|blocked|idle)_share|peak_records|onset_s)"), "TIER_", ""),
        (re.compile(r"^(before|during|after)_(?!crash)"), "PHASE_", "PHASE"),
        (re.compile(r"(?<=^latency_(?:success|failure)_s_)(p50|p95|p99|p999)$"), "QUANTILE", "QUANTILE"),
        (re.compile(r"(?<=^latency_final_s_)(p50|p95|p99|p999)$"), "QUANTILE", "QUANTILE"),
    )
    found: dict[str, str] = {}
    for name, meaning in names.items():
        for pattern, placeholder, word in families:
            if match := pattern.search(name):
                name = pattern.sub(placeholder, name)
                meaning = meaning.replace(match[1], word, 1).removeprefix(": ")
                break
        found.setdefault(name, meaning)
    return found


def _question(file: Path) -> str:
    from bpsim.document import InvalidScenario

    try:
        return load(file).question
    except InvalidScenario:
        return "(invalid: see bpsim validate)"


def members(annotation: Any) -> Iterator[Any]:
    """The classes of a union, whatever annotations are around it."""
    if hasattr(annotation, "model_fields"):
        yield annotation
    for part in get_args(annotation):
        yield from members(part)


def _first_sentence(member: type) -> str:
    text = " ".join((inspect.getdoc(member) or "").split())
    return text.split(". ")[0].rstrip(".")


TEMPLATE = """\
# yaml-language-server: $schema={schema}
question: The database is 10 times slower for a minute. Who feels it?

duration: 5 min             # simulated time; durations are written as 5 ms, 30 s, 2 min, 1 h

client:
  arrivals: {{kind: poisson, rate: 500/s}}   # or deterministic, piecewise, renewal, closed
  timeout: 2 s              # then the client stops waiting; the server does not know
  retry: {{kind: exponential, base: 100 ms, cap: 2 s, max_attempts: 3}}
  record_size: 1 kB

api:
  workers: 64
  service: {{kind: exponential, mean: 20 ms}}
  queue: {{records: 500}}     # without a bound it grows until the heap ends
  on_full: reject           # 429 at once; or block
  reply: on_enqueue         # or on_ack

producer:
  buffer: {{bytes: 4 MB}}
  linger: 5 ms
  on_full: block            # the worker waits up to max_block; or fail_fast
broker:
  partitions: 6
  ack_latency: 3 ms
  overflow: evict_oldest    # as Kafka; hold_producer pushes back, as Pulsar can
consumer:
  max_poll_records: 500
flink:
  parallelism: 2
  service: {{kind: exponential, mean: 1 ms}}
  network_buffers: {{bytes: 1 MB}}
writer:
  connections: 2
  batch_rows: 100
  batch_interval: 20 ms
  per_insert: 10 ms
  per_row: 500 us

faults:
  - {{kind: slowdown, target: writer, at: 60 s, lasts: 60 s, factor: 10}}

variants:                   # changes to the above, run on the same arrivals and demands
  as_is: {{}}
  no_retry:
    client: {{retry: {{kind: none}}}}

expect:                     # what must come out; `bpsim run` exits with 4 when a claim fails
  - as_is.success_share > 0.99
  - no_retry.amplification == 1
"""


def init_command(path: Path) -> None:
    """Write the template and the schema; never over something that is there, except the schema of another version."""
    schema = path.parent / SCHEMA_FILE
    if os.path.lexists(path):
        fail(f"{path} exists already; choose another name", Exit.USAGE)
    if os.path.lexists(schema) and not _is_our_schema(schema):
        fail(f"{schema} exists already and is not bpsim's; choose another folder", Exit.USAGE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.format(schema=schema.name))
        schema.write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {path}: {error}", Exit.ABORTED)
    say(f"Written: {path} and {schema} (completion and checks in your editor)")
    say(f"Next: bpsim validate {path}, then bpsim run {path}")


def _is_our_schema(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")).get("title") == json_schema()["title"])
    except (OSError, ValueError, AttributeError):
        return False
