"""How many connections the server takes: uvicorn's --limit-concurrency, and the kernel's backlog in front of it."""

from __future__ import annotations

from collections import deque

from bpsim.result import Work
from bpsim.tiers.client import PENDING, Client

INSIDE, OUTSIDE, LEFT, VANISHED = (int(work) for work in (Work.INSIDE, Work.OUTSIDE, Work.LEFT, Work.VANISHED))


class Connections:
    """Full when `open connections >= limit or running tasks >= limit`, looked at once a request's headers are there: its own
    connection counts, and so do those being told 503 (uvicorn 0.35 and 0.54, h11_impl.py). A client that has left has
    closed its connection; the task goes on."""

    def __init__(self, limit: int, client: Client, reject_time: float) -> None:
        self._limit = limit
        self._work = client.work
        self._reject_time = reject_time
        self._closing: deque[float] = deque()
        """When each connection that is being told 503 will be closed."""
        self._left: set[int] = set()
        """Attempts whose clients have closed their connection."""

    def full(self, now: float, inside: int) -> bool:
        """Whether one more request is too many, with `inside` in the process."""
        closing = self._closing
        while closing and closing[0] <= now:
            closing.popleft()
        if inside + len(closing) + 1 < self._limit:
            return False
        self._left = {attempt for attempt in self._left if self._work[attempt] == INSIDE}
        return inside >= self._limit or inside - len(self._left) + len(closing) + 1 >= self._limit

    def rejected(self, now: float) -> None:
        """Somebody is being told 503."""
        self._closing.append(now + self._reject_time)

    def hung_up(self, attempt: int) -> None:
        """The client of `attempt` has closed its connection."""
        self._left.add(attempt)


class Backlog(deque[int]):
    """Connections that the kernel has accepted for a process which stands still. Their requests wait in the socket: who
    gives up meanwhile is handled all the same."""

    def __init__(self, size: int, client: Client) -> None:
        super().__init__()
        self._size = size
        self._work, self._outcome = client.work, client.outcome

    def join(self, attempt: int) -> None:
        """Wait for the process, or (no room) find no answer at all."""
        if len(self) < self._size:
            self.append(attempt)
            self._work[attempt] = OUTSIDE if self._outcome[attempt] == PENDING else LEFT
        else:
            self._work[attempt] = VANISHED
