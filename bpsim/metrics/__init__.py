"""Result -> tables and numbers. Nothing here simulates."""

from bpsim.metrics.ledger import check, ledger, totals
from bpsim.metrics.pressure import fault_window
from bpsim.metrics.summary import METRICS, recovery_time, summary
from bpsim.metrics.windows import latency, timeseries, window_width

__all__ = [
    "METRICS",
    "check",
    "fault_window",
    "latency",
    "ledger",
    "recovery_time",
    "summary",
    "timeseries",
    "totals",
    "window_width",
]
