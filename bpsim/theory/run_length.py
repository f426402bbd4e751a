"""How long to simulate, and how sure to be: so that a test fails for a wrong model, not at random."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bpsim.theory.domain import require_count, require_positive, require_stable


class Interval(NamedTuple):
    """An estimate and half the width of its confidence interval."""

    mean: float
    half_width: float


def normal_deviate(confidence: float) -> float:
    """z with P(|Z| ≤ z) = `confidence`: 1.96 for 0.95, 2.58 for 0.99. Raises `ValueError` unless 0 < `confidence` < 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}; it must lie between 0 and 1, both excluded")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def mm1_asymptotic_variance(utilisation: float, service_rate: float = 1.0) -> float:
    """σ² of the time-average number in M/M/1: over a long time t its variance is σ²/t; 2ρ(1 + ρ)/(1 − ρ)⁴/μ seconds. Raises
    `ValueError` when ρ ≥ 1. Whitt 1989, Mgmt Sci 35(11)."""
    require_stable(utilisation)
    require_positive(service_rate=service_rate)
    return 2 * utilisation * (1 + utilisation) / (1 - utilisation) ** 4 / service_rate


def asymptotic_variance_heuristic(utilisation: float, ca2: float, cs2: float, service_rate: float = 1.0) -> float:
    """σ² in seconds for the number in GI/G/1, a *heuristic* meant to be too long rather than too short: reflected Brownian
    motion, max(1, ca² + cs²)³/(2(1 − ρ)⁴)/μ. As ρ → 1 it is exact for ca² + cs² ≥ 1; it is above M/M/1's at every ρ. Three
    moments decide at light load, so that a service law with a heavier third moment may need more. `service_rate` is the whole
    station's. Raises `ValueError` when ρ ≥ 1. Whitt 1989."""
    require_stable(utilisation)
    require_positive(service_rate=service_rate)
    return max(1.0, ca2 + cs2) ** 3 / (2 * (1 - utilisation) ** 4) / service_rate


def time_needed(mean: float, asymptotic_variance: float, half_width: float = 0.05, z: float = 1.96) -> float:
    """Seconds to simulate, warm-up not counted, so that a time average is known within ± `half_width` (relative to `mean`) at
    `z` standard deviations, σ²(z/(w·mean))². Raises `ValueError` for values that are not positive. Whitt 1989."""
    require_positive(mean=mean, half_width=half_width, z=z)
    return asymptotic_variance * (z / (half_width * mean)) ** 2


def relative_sd(mean: float, asymptotic_variance: float, duration: float) -> float:
    """Standard deviation of a time average over `duration` seconds, relative to `mean`. Raises `ValueError` for values that
    are not positive. Whitt 1989."""
    require_positive(mean=mean, duration=duration)
    return sqrt(asymptotic_variance / duration) / mean


def arrivals_needed(utilisation: float, half_width: float = 0.05, z: float = 1.96) -> float:
    """Arrivals to simulate so that the mean number in M/M/1 is known within ± `half_width` (relative) at `z` standard
    deviations (`normal_deviate(confidence)`). Raises `ValueError` when ρ ≥ 1. Whitt 1989."""
    variance = mm1_asymptotic_variance(utilisation)
    return utilisation * time_needed(utilisation / (1 - utilisation), variance, half_width, z)


def batch_means_interval(
    values: Sequence[float] | NDArray[np.float64], batches: int = 20, confidence: float = 0.99
) -> Interval:
    """Mean and half width from one run in steady state, cut into `batches` of equal length (up to `batches` − 1 first values
    are left out); Student's t. Each batch must last many relaxation times. Raises `ValueError` for fewer than two batches or
    fewer values than batches. Law & Kelton, *Simulation Modeling and Analysis*, ch. 9."""
    from scipy.special import stdtrit

    normal_deviate(confidence)
    require_count(2, batches=batches)
    column = np.asarray(values, dtype=float)
    size = len(column) // batches
    if not size:
        raise ValueError(f"{len(column)} values do not fill {batches} batches")
    means = column[len(column) - size * batches :].reshape(batches, size).mean(axis=1)
    deviate = float(stdtrit(batches - 1, (1 + confidence) / 2))
    return Interval(float(means.mean()), deviate * float(means.std(ddof=1)) / sqrt(batches))
