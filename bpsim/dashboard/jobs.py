"""What is computed outside the server's process, where the tables stay: a run and its view, a control, a report."""

from __future__ import annotations

import io
from typing import Any

from bpsim.allowance import OnProgress, run_within
from bpsim.counterfactual import controls, trigger_of
from bpsim.dashboard.desk import Order
from bpsim.dashboard.view import ALLOWANCE, View, look, made
from bpsim.verdict import Ending, ending_of


def view(order: Order, on_progress: OnProgress) -> View:
    """Run `order` and read it. Raises `Refused`."""
    return look(order, made(order, on_progress))


def control(order: Order, name: str, on_progress: OnProgress) -> Ending | None:
    """How `order` ends under one of its `controls`; None when that run was stopped, or there was no trouble to leave out."""
    scenario, trigger = order.scenario, trigger_of(order.scenario)
    run = run_within(controls(scenario)[name], order.seed, "control", ALLOWANCE, on_progress)
    return None if trigger is None or run.stopped is not None else ending_of(run.result, scenario, trigger.end_s)


def report(order: Order, document: dict[str, Any], on_progress: OnProgress) -> str:
    """`report.html` of `order`, whose `View.document` that is."""
    from bpsim.report import page

    return page(document, {order.variant: made(order, on_progress).result})


def picture(order: Order, on_progress: OnProgress) -> bytes:
    """Its wave, as PNG."""
    from bpsim.plots.wave import wave

    file = io.BytesIO()
    wave({order.variant: made(order, on_progress).result}).savefig(file, format="png")
    return file.getvalue()
