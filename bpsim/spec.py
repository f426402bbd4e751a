"""What every part of a scenario is: frozen data that refuses what it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Frozen, validated data. An unknown option is refused, one that is not built yet with the reason in `not_yet`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    not_yet: ClassVar[dict[str, str]] = {}
    """Options that are planned: name -> what there is instead, or when it comes."""

    def but(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """A changed and revalidated copy; nested mappings are merged. Raises `pydantic.ValidationError`."""
        return type(self).model_validate(merged(self.model_dump(), {**(changes or {}), **more}))


def merged(base: Any, change: Any) -> Any:
    """`base` with `change` laid over it: mappings merge, anything else replaces. A mapping of another `kind` replaces."""
    if not (isinstance(base, Mapping) and isinstance(change, Mapping)):
        return change
    if "kind" in change and change["kind"] != base.get("kind", change["kind"]):
        return change
    return {**base, **{key: merged(base.get(key), value) for key, value in change.items()}}


class Misfits(ValueError):
    """Parts of a scenario that are right by themselves and do not fit together: (path, what is wrong) each."""

    def __init__(self, found: list[tuple[tuple[str | int, ...], str]]) -> None:
        self.found = found
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {what}" for path, what in found))
