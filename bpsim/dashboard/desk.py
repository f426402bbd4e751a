"""What one visitor has in front of them: a scenario file, changes to it, what was typed, and what was last valid."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from bpsim import shipped
from bpsim.document import InvalidScenario, Problem, frame
from bpsim.scenario import Scenario
from bpsim.scenario_file import ScenarioFile, loads

DEFAULT = "death_spiral"
MOST_SEED = 2**31
Changes = tuple[tuple[str, str], ...]
"""(path, value as it would be written) each."""


@dataclass(frozen=True)
class Order:
    """What is to be run: the text of a scenario file, changes laid over it, one of its variants, and a seed."""

    text: str
    changes: Changes = ()
    variant: str = "base"
    seed: int = 1
    name: str = "scenario"

    @property
    def file(self) -> ScenarioFile:
        """The scenario file with this variant built. Raises `InvalidScenario`."""
        return _read(self.text, self.changes, self.variant, f"{self.name}.yaml")

    @property
    def scenario(self) -> Scenario:
        """What is run. Raises `InvalidScenario`."""
        return self.file.variants[self.variant]

    @property
    def key(self) -> str:
        """Equal for orders that give the same result."""
        return hashlib.sha256(f"{self.seed}\n{self.scenario.model_dump_json()}".encode()).hexdigest()

    @property
    def smaller(self) -> bool:
        """Whether it is a smaller system, or a shorter run, than the shipped file's, for the sake of speed."""
        told = {f"{path}={value}" for path, value in self.changes}
        return bool(told & set(shipped.SMALLER.get(self.name, ())))

    @property
    def title(self) -> str:
        """A few words that tell it from others: variant and changes."""
        usual = shipped.SMALLER.get(self.name, ())
        changed = [setting for path, value in self.changes if (setting := f"{path}={value}") not in usual]
        said = [self.variant.replace("_", " "), *changed]
        return ", ".join(said) + (f", seed {self.seed}" if self.seed != 1 else "")


@lru_cache(maxsize=64)
def _read(text: str, changes: Changes, variant: str, file: str) -> ScenarioFile:
    return loads(text, [f"{path}={value}" for path, value in changes], file, variant)


@lru_cache(maxsize=64)
def variants_of(text: str) -> tuple[str, ...]:
    """The variants in the text of a scenario file. Raises `InvalidScenario`."""
    return tuple(loads(text).variants)


@dataclass
class Desk:
    """`order` is always valid and is what is shown. What was typed and is not valid stays in `wanted` and `draft`, with what is
    wrong in `problems`."""

    order: Order
    draft: str
    """The text in the editor."""
    aside: str | None = None
    """What was typed into it before another text took its place."""
    wanted: dict[str, str] = field(default_factory=dict)
    """Changes as they were set, valid or not."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with `wanted`."""
    complaints: list[str] = field(default_factory=list)
    """What is wrong with `draft`, each under its line."""
    generation: int = 0
    """Counts up when widgets must forget what they showed."""
    tray: list[Order] = field(default_factory=list)
    bets: dict[str, Mapping[str, str]] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    """What was made of each challenge (its text), and which tier was named for each incident."""

    @classmethod
    def opened(cls, name: str = DEFAULT) -> Desk:
        """With a shipped scenario on it, at the size at which a change is answered at once."""
        desk = cls(Order(""), "")
        desk.choose(name)
        return desk

    def choose(self, name: str) -> None:
        """Another shipped scenario. Raises `KeyError` for a name that is not one."""
        text = shipped.text(name)
        changes = dict(setting.split("=", 1) for setting in shipped.SMALLER.get(name, ()))
        self._put(Order(text, tuple(changes.items()), variants_of(text)[0], 1, name))

    def set_aside(self) -> None:
        """Keep what was typed and not applied: another text is about to take its place."""
        if self.draft != self.order.text:
            self.aside = self.draft

    def back(self) -> None:
        """The text that was set aside, instead of the one that is there."""
        if self.aside is not None:
            self.draft, self.aside = self.aside, self.draft
            self.generation += 1

    def _put(self, order: Order) -> None:
        self.set_aside()
        self.order = order
        self.draft, self.complaints = order.text, []
        self.wanted, self.problems = dict(order.changes), []
        self.generation += 1

    def place(self, order: Order) -> None:
        """Work on `order`, from a link or the tray. Raises `InvalidScenario` and leaves everything as it was."""
        variants_of(order.text)
        order.scenario  # noqa: B018
        self._put(order)

    def set(self, path: str, value: str) -> None:
        """Change an option; a change of a `kind` makes those below it meaningless."""
        self.wanted = {other: text for other, text in self.wanted.items() if not other.startswith(f"{path}.")}
        self.wanted[path] = value
        self._try(self.order)

    def lay(self, changes: Mapping[str, str]) -> None:
        """Several changes at once. Raises `InvalidScenario` and leaves everything as it was."""
        wanted = {**self.wanted, **changes}
        order = self._valid(self.order, wanted)
        self.order, self.wanted, self.problems = order, wanted, []
        self.generation += 1

    def unset(self, path: str) -> None:
        """Take a change back."""
        self.wanted.pop(path, None)
        self.generation += 1
        self._try(self.order)

    def take(self, variant: str) -> None:
        """Another variant of the same file."""
        self.generation += 1
        self._try(replace(self.order, variant=variant))

    def reseed(self, seed: int) -> None:
        """Other random numbers."""
        self.order = replace(self.order, seed=seed)

    def apply(self, text: str) -> bool:
        """Take the text of the editor, if it is valid. Where it says something new, it counts for more than a change."""
        self.draft = text
        try:
            names = variants_of(text)
            changed = {path for path in self.wanted if _value(text, path) != _value(self.order.text, path)}
            wanted = {path: value for path, value in self.wanted.items() if path not in changed}
            variant = self.order.variant if self.order.variant in names else names[0]
            order = replace(self.order, text=text, variant=variant, name=self._name(text))
            self._valid(order, wanted)
        except InvalidScenario as error:
            self.complaints = [frame(problem, text) for problem in error.problems]
            return False
        self.complaints, self.wanted = [], wanted
        self.generation += 1
        self._try(order)
        return True

    def _name(self, text: str) -> str:
        return self.order.name if text == self.order.text else "scenario"

    @staticmethod
    def _valid(order: Order, wanted: dict[str, str]) -> Order:
        order = replace(order, changes=tuple(wanted.items()))
        order.scenario  # noqa: B018
        return order

    def _try(self, order: Order) -> None:
        """Show `order` with what is wanted, or keep what is shown and say what is wrong."""
        try:
            self.order = self._valid(order, self.wanted)
            self.problems = []
        except InvalidScenario as error:
            self.problems = list(error.problems)


def _value(text: str, path: str) -> object:
    """What stands at `path` in a valid scenario's text; None when nothing does."""
    from bpsim.document import parse_document

    node: object = parse_document(text, "").tree
    for part in path.split("."):
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node
