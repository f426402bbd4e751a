"""`bpsim validate` and `init`, and finding a scenario."""

from __future__ import annotations

import json
import os
from pathlib import Path

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
