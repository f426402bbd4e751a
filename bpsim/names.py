"""What the tiers are called where people read."""

from __future__ import annotations

TIER_NAMES = {
    "client": "Client", "api": "API", "producer": "Producer", "broker": "Broker", "consumer": "Consumer",
    "flink": "Flink", "writer": "DB writer",
}  # fmt: skip
"""By the tier's key in a scenario: as a label."""
IN_A_SENTENCE = {"api": "the API", "flink": "Flink", "writer": "the DB writer"}


def the(tier: str) -> str:
    """In a sentence: `the API`, `Flink`, `the DB writer`, `the broker`."""
    return IN_A_SENTENCE.get(tier, f"the {tier}")


def sentence(words: str) -> str:
    """With a capital letter."""
    return words[0].upper() + words[1:]
