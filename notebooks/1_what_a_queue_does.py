# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 1 · What a queue does
#
# **Question.** An API is busy 80 % of the time. There is a fifth of it to spare. Why do users wait at all, and what happens
# when
# we take ten more per cent out of it?
#
# *You need:* nothing but arithmetic. *Time:* 10 minutes of reading, 25 with talking. *One idea:* waiting does not grow with the
# load, it grows with what is left of the capacity.
#
# Work in pairs: one types, both predict.

# %%
from bpsim import summary, timeseries
from bpsim.theory import MM1
from bpsim.workshop import Lesson

lesson = Lesson("1_what_a_queue_does")

# %% [markdown]
# One server. A request takes it 10 ms on average, sometimes 2 ms, sometimes 40 ms. So it can do 100 requests a second. Requests
# come at random, as they do when many people do not know of each other: some seconds bring 70, some bring 95.
#
# In the first variant 50 come every second, in the second 80, in the third 95. Nothing breaks, nothing is slow, nobody retries.

# %%
SCENARIO = """
question: How long does a request take when the API is busy 50, 80 or 95 % of the time?

duration: 10 min

client:
  arrivals: {kind: poisson, rate: 50/s}

api:
  workers: 1
  service: {kind: exponential, mean: 10 ms}   # 100 requests/s

variants:
  at_50: {}
  at_80: {client: {arrivals: {rate: 80/s}}}
  at_95: {client: {arrivals: {rate: 95/s}}}
"""
file = lesson.load(SCENARIO)

# %% [markdown]
# ## Predict
#
# The work itself takes 10 ms. How long does a request take from sending to reply, waiting included, on average? Put your guess
# (milliseconds) in the place of each `None` and run the cell. Your guesses are stored in `my_predictions.json`; nothing runs
# before there are some. Say to each other *why*.

# %%
lesson.predict("mean_50", "Mean time of a request at 50 %, in ms?", None)
lesson.predict("mean_80", "Mean time of a request at 80 %, in ms?", None)
lesson.predict("mean_95", "Mean time of a request at 95 %, in ms?", None)

# %% [markdown]
# ## Run

# %%
results = lesson.run(file)
found = {name: summary(result) for name, result in results.items()}
for load in (50, 80, 95):
    lesson.reveal(f"mean_{load}", 1000 * found[f"at_{load}"]["latency_success_s_mean"])

# %% [markdown]
# From 50 to 80 % the time more than doubles; from 80 to 95 % it grows several times more, for fifteen more requests a second.
# Nobody deployed anything.

# %%
lesson.show("latency", results)

# %% [markdown]
# Look at the scale: it is logarithmic. And look at the p99: the hundredth request waits four to five times as long as the mean.
# An average is what nobody experiences.
#
# ## Investigate
#
# **Little's law.** How many requests are inside, on average? Count them over time, and compare with *arrival rate × mean time
# inside*. This holds for every system that does not lose anybody, whatever is inside the box.

# %%
for name, result in results.items():
    inside = timeseries(result)["api.records"].mean()
    rate, time = found[name]["offered_per_s"], found[name]["latency_success_s_mean"]
    print(f"{name}: {inside:.2f} inside, and {rate:.1f}/s x {1000 * time:.1f} ms = {rate * time:.2f}")

# %% [markdown]
# So you can know how long people wait from a count of how many are there, without a single stopwatch. When a dashboard shows
# you
# a queue of 300 in front of something that does 100 a second, it shows you three seconds.
#
# **The knee.** For this queue (M/M/1 in the books) theory says: mean time = 10 ms / (1 − utilisation). The simulation was never
# told.

# %%
for load in (0.5, 0.8, 0.95):
    measured = found[f"at_{round(100 * load)}"]["latency_success_s_mean"]
    exact = MM1(arrival_rate=100 * load, service_rate=100).W
    print(f"{load:.0%}: theory {1000 * exact:6.1f} ms, simulated {1000 * measured:6.1f} ms")

# %% [markdown]
# At 50 and 80 % they agree closely. At 95 % a run of ten minutes is not long enough to say it exactly: the longer the queue,
# the
# longer its memory. Lesson 7 is about that.
#
# There is no magic point where it "begins to be slow". Each halving of what is left doubles the time: 80 → 90 → 95 → 97.5 %.
#
# ## Modify
#
# What makes people wait is not the load but its *unevenness*. Give every request exactly 10 ms, and let them come like a
# metronome. Before you run it: what will the mean be at 95 %?

# %%
lesson.predict("metronome", "Mean time at 95 % when nothing is random, in ms?", None)
regular = lesson.load(SCENARIO, ["client.arrivals={kind: deterministic, rate: 95/s}", "api.service=10 ms"])
even = lesson.run(regular, only=["at_95"])
lesson.reveal("metronome", 1000 * summary(even["at_95"])["latency_success_s_mean"])

# %% [markdown]
# ## Make
#
# Design a system that answers 95 requests a second in 30 ms on average. You may have more workers (each as slow as before), or
# a
# faster one; you may not send people away. What is the cheapest? Change the settings and run.

# %%
mine = lesson.load(SCENARIO, ["api.workers=1", "api.service.mean=10 ms"])
print(1000 * summary(lesson.run(mine, only=["at_95"])["at_95"])["latency_success_s_mean"], "ms")

# %% [markdown]
# ## Explain
#
# In two sentences, to somebody who runs their machines at 95 % "because we pay for them": …
#
# <details><summary>One answer</summary>
#
# What is left, not what is used, decides how long people wait: at 95 % every short burst needs twenty times its length to be
# worked off, because only a twentieth of the capacity is free for it. Two workers with one queue are better than one at the
# same
# utilisation, and a worker twice as fast is better still: it halves the work as well as the wait.
#
# </details>
#
# **To take away.** Utilisation ρ = λ/μ. Time ∝ 1/(1 − ρ). Number inside = rate × time. A queue is not slow; it is full of other
# people's work.
