"""The database writer: batches of rows, a pool of connections, and a database that slows down before it says no."""

from bpsim.tiers.writer.spec import InsertRetry, WriterSpec
from bpsim.tiers.writer.writer import Writer

__all__ = ["InsertRetry", "Writer", "WriterSpec"]
