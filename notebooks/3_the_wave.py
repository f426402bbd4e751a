# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 3 · The wave
#
# **Question.** The database becomes slow. It is six tiers away from the user. Does the user notice, when, and what decides it?
#
# *You need:* lessons 1 and 2. *Time:* 9 minutes of reading, 25 with talking. *One idea:* backpressure travels upstream, from
# one
# full buffer to the next, and it stops at the first tier that does not wait.

# %%
from bpsim import explain, ledger, summary
from bpsim.workshop import Lesson

lesson = Lesson("3_the_wave")

# %% [markdown]
# client → API → producer → broker → consumer → Flink → database writer. 100 requests a second; everything is comfortable, the
# busiest tier is the database. From 30 s to 80 s the database is 20 times slower.
#
# The same pipeline, twice, on the same random numbers:
#
# - `hold`: a broker that does not acknowledge while its storage is full, as Pulsar can be told to (`producer_request_hold`);
# - `kafka`: one that deletes the oldest when it is full. A slow reader is nothing to a producer.

# %%
SCENARIO = """
question: The database is 20 times slower for a minute. Does the user notice?

duration: 2 min

client:
  arrivals: {kind: poisson, rate: 100/s}
  timeout: 2 s
  record_size: 1 kB

api:
  workers: 20
  service: {kind: exponential, mean: 20 ms}
  reply: on_enqueue          # the user is told "done" once the record is in the producer's buffer

producer:
  buffer: {bytes: 100 kB}
  linger: 5 ms
  on_full: block             # max.block.ms: the worker waits, and the user with it
broker:
  partitions: 2
  ack_latency: 3 ms
consumer:
  max_poll_records: 50
  when_full: pause
flink:
  parallelism: 2
  service: {kind: exponential, mean: 1 ms}
  network_buffers: {bytes: 128 kB}
writer:
  connections: 1
  batch_rows: 50
  batch_interval: 20 ms
  per_insert: 10 ms
  per_row: 500 us
  buffer: {records: 60}

faults:
  - {kind: slowdown, target: writer, at: 30 s, lasts: 50 s, factor: 20}

variants:
  hold: {broker: {overflow: hold_producer, retention: {bytes: 400 kB}}}
  kafka: {broker: {overflow: evict_oldest}}
"""
file = lesson.load(SCENARIO)

# %% [markdown]
# ## Predict
#
# Draw the seven tiers on paper. For each broker: which tiers come under pressure, and in which order? Then write
# down the answers below. (Tiers: client, api, producer, broker, consumer, flink, writer.)

# %%
lesson.predict("second", "Which tier feels it first after the writer?", None)
lesson.predict("hold_when", "Behind the holding broker: how many seconds later do users feel it?", None)
lesson.predict("kafka_users", "Behind Kafka: what share of the requests succeeds (0 to 1)?", None)

# %% [markdown]
# ## Run

# %%
results = lesson.run(file)
found = {name: summary(result) for name, result in results.items()}
onsets = {tier: found["hold"][f"{tier}_onset_s"] for tier in file.base.tiers}
lesson.reveal("second", sorted(onsets, key=onsets.__getitem__)[1])
lesson.reveal("hold_when", found["hold"]["client_onset_s"] - 30)
lesson.reveal("kafka_users", found["kafka"]["success_share"])

# %%
lesson.show("wave", results)

# %% [markdown]
# Read the figure from bottom to top: each row is a tier, the database at the bottom, the colour is how full or blocked it is.
#
# Nobody sends a signal upstream. Each tier only finds that there is no room before it, and waits; so its own buffer fills, and
# the
# tier above finds no room. The wave is as slow as the buffers are large: each is worth (its size) / (what still comes in)
# seconds.
#
# Behind Kafka it stops at the consumer. The broker takes everything, and what was pressure is now **lag**.
#
# ## Investigate
#
# In words, each with its time, its number and the line of the scenario:

# %%
for name, result in results.items():
    story = explain(result)
    print(f"{name}: {story.headline}")
    for finding in (*story.part("spread"), *story.part("stop"), *story.part("felt")):
        print("  -", finding.words)

# %% [markdown]
# Users of `kafka` notice nothing. Is all well? Ask when their data arrived in the database.

# %%
for name in results:
    lag, records = found[name]["lag_max_s"], ledger(results[name])["records"]
    print(f"{name}: the oldest record waited {lag:.1f} s; {records['evicted']} evicted")

# %% [markdown]
# ## Modify
#
# Kafka's log is not endless. Give it room for 500 kB and look where the wave goes now. Guess: how many records are lost
# before anybody has read them, and how many users are told?

# %%
lesson.predict("evicted", "Records deleted unread when the log holds 500 kB?", None)
short = lesson.run(lesson.load(SCENARIO, ["variants.kafka.broker.retention={bytes: 500 kB}"]), only=["kafka"])
lesson.reveal("evicted", ledger(short["kafka"])["records"]["evicted"])
print(f"and {summary(short['kafka'])['success_share']:.1%} of the requests were answered with success")

# %%
lesson.show("losses", {"kafka": results["kafka"], "kafka, 500 kB": short["kafka"]})

# %% [markdown]
# ## Make
#
# The holding broker protects the data and hurts the user; Kafka protects the user and may lose the data. Build a third: keep
# Kafka,
# and turn users away while the consumer lags (`api.admission: {kind: lag, above: …, all_above: …}`). What do users see now,
# and how
# large does the lag get?

# %%
third = ["api.admission={kind: lag, above: 500, all_above: 1500, every: 1 s}"]
mine = lesson.run(lesson.load(SCENARIO, third), only=["kafka"])
print({key: round(summary(mine["kafka"])[key], 3) for key in ("success_share", "rejected", "lag_max_s")})

# %% [markdown]
# ## Explain
#
# "Kafka gives us backpressure." True or false? …
#
# <details><summary>One answer</summary>
#
# False: it takes it away. A Kafka producer never notices a slow consumer; what there is, is lag, then retention, then loss
# without
# an error anywhere. That is usually what one wants for minutes and never for days. If the user should feel it, somebody has to
# close
# the loop: a broker that holds, a quota, or admission by lag.
#
# </details>
#
# **To take away.** Pressure = a put that waits. It climbs as fast as buffers fill. It ends where somebody rejects, drops, or
# stores.
