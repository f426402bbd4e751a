"""The stationary law of a finite continuous-time Markov chain, given by its moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

State = TypeVar("State", bound=tuple[int, ...])

MOST_STATES = 200_000
"""A sparse solve of this many takes seconds and some hundred MB; beyond it a model is refused."""


def stationary(
    start: State, moves: Callable[[State], Iterable[tuple[State, float]]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(states, one a row; their probabilities) of the chain that leaves a state by `moves(state)` = (next state, rate per
    second). Raises `ValueError` when more than `MOST_STATES` can be reached. Sparse LU of the balance equations."""
    number, states = {start: 0}, [start]
    origin, target, rate = [], [], []
    for state in states:  # grows while it is walked
        for after, speed in moves(state):
            if after not in number:
                number[after] = len(states)
                states.append(after)
            origin.append(number[state])
            target.append(number[after])
            rate.append(speed)
        if len(states) > MOST_STATES:
            raise ValueError(f"the chain has more than {MOST_STATES} states; make the line or its buffers smaller")
    return np.array(states), _solve(len(states), np.array(origin), np.array(target), np.array(rate))


def _solve(count: int, origin: NDArray[np.int64], target: NDArray[np.int64], rate: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    if count == 1:
        return np.ones(1)
    flow = coo_matrix((rate, (target, origin)), shape=(count, count)).tocsc()
    leaving = np.bincount(origin, rate, count)
    balance = (flow - coo_matrix((leaving, (np.arange(count),) * 2))).tocsc()
    law = np.concatenate(([1.0], spsolve(balance[1:, 1:], -balance[1:, [0]].toarray().ravel())))
    law = law / law.sum()
    missing = np.abs(balance @ law).max() / leaving.max()
    assert missing < 1e-9 and law.min() > -1e-12, f"balance is off by {missing:.2e}, {law.min()=:.2e}"
    return np.asarray(law)
