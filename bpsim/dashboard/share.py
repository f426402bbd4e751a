"""A link that holds all of an order: whoever opens it gets the same result."""

from __future__ import annotations

import base64
import binascii
import json
import zlib

from bpsim import shipped
from bpsim.dashboard.desk import MOST_SEED, Order
from bpsim.document import MAX_BYTES

LONGEST = 8000
"""Letters that a link may have: what browsers and proxies let through."""


class NoLink(ValueError):
    """The link cannot be made or read; the message says why."""


def link(order: Order) -> str:
    """The value of `?s=`. Raises `NoLink` when the scenario is too long for one."""
    known = order.name in shipped.names() and order.text == shipped.text(order.name)
    tree = {
        "name": order.name, "text": None if known else order.text, "changes": order.changes,
        "variant": order.variant, "seed": order.seed,
    }  # fmt: skip
    packed = zlib.compress(json.dumps(tree, separators=(",", ":")).encode(), 9)
    text = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    if len(text) > LONGEST:
        raise NoLink(f"the scenario is too long for a link ({len(text):,} letters of at most {LONGEST:,}); pass on its file")
    return text


def order_of(text: str) -> Order:
    """The order in a link. Raises `NoLink` for anything that is not one; whether it is valid is not looked at."""
    if len(text) > LONGEST:
        raise NoLink("the link is too long")
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        opened = zlib.decompressobj()
        plain = opened.decompress(packed, MAX_BYTES)
        if opened.unconsumed_tail:
            raise NoLink("the link unpacks to more than a scenario may have")
        tree = json.loads(plain)
        name, changes = str(tree["name"])[:60], tuple((str(path), str(value)) for path, value in tree["changes"])
        words = shipped.text(name) if tree["text"] is None else str(tree["text"])
        seed = int(tree["seed"])
        if not 0 <= seed <= MOST_SEED:
            raise NoLink(f"its seed is not between 0 and {MOST_SEED:,}")
        return Order(words, changes, str(tree["variant"]), seed, name)
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise error if isinstance(error, NoLink) else NoLink("the link is damaged") from None
