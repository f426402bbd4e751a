"""The client: sends requests over the network, holds itself back, waits, and tries again."""

from bpsim.tiers.client.client import BLOCK, NEW_REQUEST, PENDING, Client
from bpsim.tiers.client.columns import attempt_table, request_table
from bpsim.tiers.client.spec import ClientSpec

__all__ = ["BLOCK", "NEW_REQUEST", "PENDING", "Client", "ClientSpec", "attempt_table", "request_table"]
