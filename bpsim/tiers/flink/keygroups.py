"""Which subtask a key lives on (KeyGroupRangeAssignment.java, MathUtils.java)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bpsim.keys import Keys
from bpsim.streams import Draws, Streams

MASK = 0xFFFFFFFF


def murmur_hash(code: int) -> int:
    """Flink's scrambling of a Java hash code, a non-negative int."""
    code = code * 0xCC9E2D51 & MASK
    code = (code << 15 | code >> 17) & MASK
    code = code * 0x1B873593 & MASK
    code = (code << 13 | code >> 19) & MASK
    code = (code * 5 + 0xE6546B64) & MASK
    code ^= 4
    code ^= code >> 16
    code = code * 0x85EBCA6B & MASK
    code ^= code >> 13
    code = code * 0xC2B2AE35 & MASK
    code ^= code >> 16
    signed = code - (1 << 32) if code >> 31 else code
    return 0 if signed == -(1 << 31) else abs(signed)


def max_parallelism(parallelism: int) -> int:
    """Key groups of an operator that does not set them: 1.5 times its parallelism, as a power of two, 128 at least."""
    wanted = parallelism + parallelism // 2
    return min(1 << 15, max(128, 1 << max(0, wanted - 1).bit_length()))


def subtask_of(key: int, parallelism: int) -> int:
    """The subtask of a key that is a whole number (its Java hash code is itself, below 2³¹)."""
    groups = max_parallelism(parallelism)
    return murmur_hash(key) % groups * parallelism // groups


def key_router(streams: Streams, keys: Keys) -> Callable[[Sequence[int], int], list[int]]:
    """(indices of draws, parallelism) -> the subtasks of the keys drawn there."""
    drawn = Draws(streams.rng("client.keys"), keys.sample)
    where: dict[int, list[int]] = {}

    def route(indices: Sequence[int], parallelism: int) -> list[int]:
        if parallelism not in where:
            where[parallelism] = [subtask_of(key, parallelism) for key in range(keys.distinct)]
        table, values = where[parallelism], drawn.upto(max(indices, default=-1) + 1)
        return [table[int(values[index])] for index in indices]

    return route
