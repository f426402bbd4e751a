"""The command line. Commands live beside this file; heavy packages are imported only when a command needs them."""

from bpsim.cli import studies, teaching
from bpsim.cli.app import main

__all__ = ["main", "studies", "teaching"]
