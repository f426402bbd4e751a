"""An API that hands records to Kafka and never keeps anybody waiting: too much is a 429 at once.

uvicorn --factory examples.fail_fast_api.app:create_app
"""

from __future__ import annotations

import logging
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from examples.fail_fast_api.limiter import TokenBucket
from examples.fail_fast_api.outbox import Outbox
from examples.fail_fast_api.settings import Settings

log = logging.getLogger(__name__)


def too_many(reason: str, retry_after: int) -> JSONResponse:
    """429: the client may come again after so many seconds."""
    return JSONResponse({"rejected": reason}, status_code=429, headers={"Retry-After": str(retry_after)})


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application, with settings from the environment unless they are given."""
    settings = settings or Settings.from_environment()
    drain_s = max(1, round(settings.queue_messages / settings.capacity_per_s))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.outbox = await run_in_threadpool(Outbox, settings)
        app.state.limiter = TokenBucket(settings.limit_per_s, settings.limit_burst, monotonic())
        app.state.limited = 0
        yield
        left = await run_in_threadpool(app.state.outbox.close)
        if left:
            log.error("%d accepted records could not be sent", left)

    app = FastAPI(title="fail fast", lifespan=lifespan)

    @app.post("/records")
    async def take(request: Request) -> JSONResponse:
        """202 when the record is in the producer's queue. Nothing here blocks, so the event loop never stands still."""
        state = request.app.state
        if not state.limiter.take(monotonic()):
            state.limited += 1
            return too_many("rate_limited", state.limiter.retry_after())
        if not state.outbox.offer(await request.body()):
            return too_many("queue_full", drain_s)
        return JSONResponse({"accepted": True}, status_code=202)

    @app.get("/stats")
    async def stats(request: Request) -> dict[str, Any]:
        """What has become of every request so far, and the peak of the process's memory."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return request.app.state.outbox.stats() | {"rate_limited": request.app.state.limited, "peak_memory_bytes": peak}

    return app
