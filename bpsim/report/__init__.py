"""One page about a run, in one file: what came out, why, how sure it is, and everything needed to make it again."""

from bpsim.report.page import page

__all__ = ["page"]
