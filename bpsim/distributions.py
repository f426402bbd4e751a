"""Durations by chance. Each is frozen data with a mean, a squared coefficient of variation, and `sample(rng, n)`."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from bpsim.spec import Spec
from bpsim.streams import Floats
from bpsim.units import PositiveSeconds, Seconds

Rng = np.random.Generator


class Constant(Spec):
    """Always `value`."""

    kind: Literal["constant"] = "constant"
    value: Seconds

    @property
    def mean(self) -> float:
        return self.value

    @property
    def scv(self) -> float:
        return 0.0

    def sample(self, rng: Rng, n: int) -> Floats:
        return np.full(n, self.value)


class Exponential(Spec):
    """Memoryless, with the given mean."""

    kind: Literal["exponential"] = "exponential"
    mean: PositiveSeconds

    @property
    def scv(self) -> float:
        return 1.0

    def sample(self, rng: Rng, n: int) -> Floats:
        return rng.standard_exponential(n) * self.mean


class Lognormal(Spec):
    """Lognormal, given by its mean and squared coefficient of variation."""

    kind: Literal["lognormal"] = "lognormal"
    mean: PositiveSeconds
    scv: float = Field(gt=0, le=1e4, description="squared coefficient of variation: variance / mean²")

    def sample(self, rng: Rng, n: int) -> Floats:
        sigma2 = log(1 + self.scv)
        return np.exp(rng.standard_normal(n) * sqrt(sigma2)) * (self.mean * exp(-sigma2 / 2))


class Gamma(Spec):
    """Gamma with the given mean and shape; a whole-numbered shape is the Erlang law (scv = 1 / shape)."""

    kind: Literal["gamma", "erlang"] = "gamma"
    mean: PositiveSeconds
    shape: float = Field(gt=0, le=1e4)

    @model_validator(mode="after")
    def _an_erlang_shape_is_whole(self) -> Gamma:
        if self.kind == "erlang" and self.shape != int(self.shape):
            raise ValueError(f"an Erlang law has a whole number of phases, not {self.shape}; kind: gamma takes any")
        return self

    @property
    def scv(self) -> float:
        return 1 / self.shape

    def sample(self, rng: Rng, n: int) -> Floats:
        return rng.standard_gamma(self.shape, n) * (self.mean / self.shape)


class Uniform(Spec):
    """Anything between `low` and `high`, equally likely."""

    kind: Literal["uniform"] = "uniform"
    low: Seconds
    high: PositiveSeconds

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Uniform:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low} s) must be below high ({self.high} s)")
        return self

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    @property
    def scv(self) -> float:
        return (self.high - self.low) ** 2 / 12 / self.mean**2

    def sample(self, rng: Rng, n: int) -> Floats:
        return self.low + rng.random(n) * (self.high - self.low)


class Bimodal(Spec):
    """Mostly fast, sometimes slow: exponential with mean `fast`, or with probability `p_slow` with mean `slow`.

    `spread: constant` makes both modes fixed times. Brooker's "open and closed" workload is p_slow 0.001, 0.1 s, 10 s.
    """

    kind: Literal["bimodal"] = "bimodal"
    fast: PositiveSeconds
    slow: PositiveSeconds
    p_slow: float = Field(gt=0, lt=1)
    spread: Literal["exponential", "constant"] = "exponential"

    @property
    def mean(self) -> float:
        return (1 - self.p_slow) * self.fast + self.p_slow * self.slow

    @property
    def scv(self) -> float:
        second = 2.0 if self.spread == "exponential" else 1.0
        return second * ((1 - self.p_slow) * self.fast**2 + self.p_slow * self.slow**2) / self.mean**2 - 1

    def sample(self, rng: Rng, n: int) -> Floats:
        pairs = rng.random((n, 2))
        mode = np.where(pairs[:, 0] < self.p_slow, self.slow, self.fast)
        return mode * -np.log1p(-pairs[:, 1]) if self.spread == "exponential" else mode


class Empirical(Spec):
    """Drawn with equal chance from measured `values`."""

    kind: Literal["empirical"] = "empirical"
    values: tuple[Seconds, ...] = Field(min_length=1, max_length=100_000)

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def scv(self) -> float:
        return float(np.var(self.values)) / self.mean**2 if self.mean else 0.0

    def sample(self, rng: Rng, n: int) -> Floats:
        return np.asarray(self.values)[(rng.random(n) * len(self.values)).astype(np.int64)]


def _a_bare_duration_is_constant(value: Any) -> Any:
    return {"kind": "constant", "value": value} if isinstance(value, str | int | float) else value


Distribution = Annotated[
    Annotated[Constant | Exponential | Lognormal | Gamma | Uniform | Bimodal | Empirical, Field(discriminator="kind")],
    BeforeValidator(_a_bare_duration_is_constant, json_schema_input_type=Any),
]
"""Every law a duration may follow; `5 ms` alone means the constant."""
