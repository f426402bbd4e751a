"""`flink: {conf: flink-conf.yaml}` beside a scenario: the file's options are laid under those of the scenario itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bpsim.document import Document, InvalidScenario, Problem, Where, read_text
from bpsim.tiers.flink.conf import has_memory_size
from bpsim.tiers.flink.conf_file import default_version, parse_conf
from bpsim.tiers.flink.flink import FlinkSpec
from bpsim.tiers.flink.memory import nothing_set
from bpsim.tiers.flink.placement import crowding
from bpsim.tiers.flink.values import shown, version_of

CONF_SCHEMA = {
    "type": "string",
    "description": "a flink-conf.yaml or config.yaml beside the scenario file; read when it is loaded, and laid under options",
}
"""What an editor knows of `conf`, which a resolved scenario does not have any more."""


def with_flink_conf(tree: dict[str, Any], document: Document, prefix: Where, problems: list[Problem]) -> dict[str, Any]:
    """`tree` with the options of the file that `flink.conf` names. What is written in the scenario is stronger."""
    part = tree.get("flink")
    if not isinstance(part, dict) or "conf" not in part:
        return tree
    rest = {key: value for key, value in part.items() if key != "conf"}
    try:
        return {**tree, "flink": {**rest, **_options(part["conf"], rest, document, prefix)}}
    except InvalidScenario as error:
        problems += error.problems
        return {**tree, "flink": rest}


def _options(name: Any, part: dict[str, Any], document: Document, prefix: Where) -> dict[str, Any]:
    """The version and all options. Raises `InvalidScenario`."""
    where = (*prefix, "flink", "conf")
    if not isinstance(name, str) or not name:
        raise InvalidScenario(
            [document.problem(where, "'conf' is the path of a file", "options: {…} holds options themselves")]
        )
    path = document.beside(where, name)
    try:
        version = version_of(str(part["version"])) if "version" in part else default_version(name)
    except ValueError:
        return {}
    file = parse_conf(read_text(path, str(path)), str(path), version)
    document.remarks += file.passed_over
    inline = part.get("options")
    options = {**file.options, **inline} if isinstance(inline, dict) else file.options
    for key in file.options.keys() - (inline or {}):
        document.imported[(*prefix, "flink", "options", key)] = (str(path), file.values[key])
    if not has_memory_size(version, options):
        raise InvalidScenario([Problem(0, 0, nothing_set().story, "", str(path))])
    return {"version": shown(version), "options": options}


def flink_remarks(spec: FlinkSpec | None, document: Document, variant: str) -> Iterator[Problem]:
    """The options of a job that its version of Flink does not look at."""
    if spec is None or not spec.operators:
        return
    for key, what in spec.resolved.remarks:
        path: Where = ("flink", "options", key)
        inside: Where = ("variants", variant, *path)
        at = next(
            (where for where in (inside, path) if where in document.imported or where in document.keys), ("flink", "options")
        )
        yield document.problem(at, f"'{key}': {what}", at_key=True)
    if warning := crowding(spec.topology, spec.resolved):
        yield document.problem(("flink", "operators"), warning, at_key=True)
