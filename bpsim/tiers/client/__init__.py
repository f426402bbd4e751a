"""The client: sends requests over the network, holds itself back, waits, and tries again."""

from bpsim.tiers.client.client import BLOCK, NEW_REQUEST, PENDING, Client
from bpsim.tiers.client.spec import ClientSpec

__all__ = ["BLOCK", "NEW_REQUEST", "PENDING", "Client", "ClientSpec"]
