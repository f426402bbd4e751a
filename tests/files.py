"""A scenario file small enough to run in a test."""

from __future__ import annotations

TINY = """\
question: Does a tiny run work?
duration: 2 s
client:
  arrivals: {kind: poisson, rate: 200/s}
  timeout: 100 ms
  retry: {kind: immediate, max_attempts: 3}
api: {workers: 4, service: {kind: exponential, mean: 10 ms}}
producer: {}
broker: {}
consumer: {}
flink: {service: {kind: exponential, mean: 1 ms}}
writer: {}
faults:
  - {kind: slowdown, target: api, at: 500 ms, lasts: 300 ms, factor: 5}
variants:
  naive: {}
  no_retry: {client: {retry: {kind: none}}}
expect:
  - naive.amplification > 1
  - no_retry.amplification == 1
"""
