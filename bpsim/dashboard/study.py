"""Runs that visitors wait for, made in processes of their own, and the last views of everybody."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from threading import Lock

from bpsim.allowance import untold
from bpsim.counterfactual import controls, trigger_of
from bpsim.dashboard import jobs
from bpsim.dashboard.desk import Order
from bpsim.dashboard.view import View
from bpsim.runs import PlaceFailed, Task, Workers
from bpsim.verdict import Collapse, Ending

Progress = Callable[[str, float], None]
"""Told what is being run and the share done."""


class Shelf:
    """The last views of everybody, by key. They never change, so visitors may share them without seeing each other."""

    def __init__(self, most: int = 24) -> None:
        self._views: OrderedDict[str, View] = OrderedDict()
        self._most = most
        self._lock = Lock()

    def get(self, key: str) -> View | None:
        """The view of that key, if it is still here."""
        with self._lock:
            if key in self._views:
                self._views.move_to_end(key)
            return self._views.get(key)

    def put(self, view: View) -> View:
        """Keep `view`; the one that was not looked at for longest goes."""
        with self._lock:
            self._views[view.key] = view
            while len(self._views) > self._most:
                self._views.popitem(last=False)
        return view

    def forget(self, key: str) -> None:
        """Let the view of that key be made again."""
        with self._lock:
            self._views.pop(key, None)

    def __len__(self) -> int:
        return len(self._views)


class Study:
    """A run of `order` and the controls that its verdict asks for. Where a process has nothing else to do, the controls are
    run beside it: they are called off when it ends well."""

    def __init__(self, order: Order, workers: Workers, shelf: Shelf) -> None:
        self.order = order
        self._workers = workers
        self._shelf = shelf
        self._run: Task[View] | None = None
        self._controls: dict[str, Task[Ending | None]] = {}
        self._lock = Lock()

    @property
    def known(self) -> View | None:
        """Its view, if it was made already; not necessarily judged."""
        return self._shelf.get(self.order.key)

    def begin(self) -> View | None:
        """Begin it, unless its view is known, which is returned then. Raises `PlaceFailed`."""
        with self._lock:
            known = self.known
            if known is None and self._run is None:
                self._run = self._workers.begin(jobs.view, self.order)
                if self._workers.idle and trigger_of(self.order.scenario) is not None:
                    self._control()
            return known

    def _control(self) -> None:
        for name in controls(self.order.scenario):
            if name not in self._controls:
                self._controls[name] = self._workers.begin(jobs.control, self.order, name)

    def view(self, on_progress: Progress = untold) -> View:
        """The view, not necessarily judged. Raises `Refused`, `PlaceFailed` and whatever `on_progress` raises."""
        view = self.begin()
        if view is None:
            assert self._run is not None
            view = self._shelf.put(self._run.result(lambda share: on_progress("simulating", share)))
        if not isinstance(view.verdict, Collapse):
            self.call_off()
        return view

    def judged(self, on_progress: Progress = untold) -> View:
        """The view with its verdict, unless it was stopped. Raises as `view` does."""
        view = self.view(on_progress)
        if not isinstance(view.verdict, Collapse):
            return view
        with self._lock:
            self._control()

        def ask(name: str) -> Ending | None:
            return self._controls[name].result(lambda share: on_progress(f"once more {name}", share))

        return self._shelf.put(view.settled(view.verdict.settle(ask)))

    def call_off(self) -> None:
        """Nobody waits for it any more."""
        for task in [self._run, *self._controls.values()]:
            if task is not None:
                task.stop()


class Studies:
    """What is being run for whom: who asks for what another waits for already waits with them."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.shelf = Shelf()
        self._current: dict[str, tuple[Study, int]] = {}
        self._lock = Lock()

    @contextmanager
    def watch(self, order: Order) -> Iterator[Study]:
        """The study of `order`; when the last who watches it leaves, what still runs is called off."""
        key = order.key
        with self._lock:
            study, watchers = self._current.get(key) or (Study(order, self.workers, self.shelf), 0)
            self._current[key] = study, watchers + 1
        try:
            yield study
        finally:
            with self._lock:
                study, watchers = self._current.pop(key)
                if watchers > 1:
                    self._current[key] = study, watchers - 1
                else:
                    study.call_off()


@cache
def studies() -> Studies:
    """Those of this server."""
    return Studies(Workers(os.cpu_count() or 1, "spawn", spare=1))


def prepare(order: Order) -> None:
    """Make the view of `order`, verdict and charts and all, before anybody asks for it. A server that ends meanwhile says
    nothing of it."""
    with suppress(PlaceFailed), studies().watch(order) as study:
        study.judged().charts  # noqa: B018
