# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 5 · Fail fast
#
# **Question.** Lesson 4's system again, with the same naive clients. Which small change to the *server* brings it back, and how
# small must it be?
#
# *You need:* lesson 4. *Time:* 10 minutes of reading, 30 with talking. *One idea:* a *no* now is worth more than a *yes* too
# late, and
# "now" is a number: a queue must be shorter than capacity × timeout.

# %%
from bpsim import summary
from bpsim.workshop import Lesson

lesson = Lesson("5_fail_fast")

# %% [markdown]
# 100 requests a second, an API that does 128 (43 while it is slow), a timeout of 1 s, four tries at once. Six servers:
#
# - `unbounded`: everybody may wait, as most frameworks ship it;
# - `bound_30`: 30 may wait, the others get a 429 at once;
# - `bound_300`: the same with 300 places;
# - `lifo`: everybody may wait, and the *last* to come is served first;
# - `token_bucket`: 40 a second are let in, the others get a 429;
# - `deadline`: first come, first served, but who has left is skipped.

# %%
CLIENTS = """
question: Which server survives naive clients?

duration: 4 min

client:
  arrivals: {kind: poisson, rate: 100/s}
  timeout: 1 s
  retry: {kind: immediate, max_attempts: 4}

api:
  workers: 8
  service: {kind: exponential, mean: 62.5 ms}   # 128 requests/s

faults:
  - {kind: slowdown, target: api, at: 60 s, lasts: 30 s, factor: 3}

variants:
  unbounded: {}
  bound_30: {api: {queue: {records: 30}}}
  bound_300: {api: {queue: {records: 300}}}
  lifo: {api: {order: lifo}}
  token_bucket: {api: {admission: {kind: token_bucket, rate: 40/s, burst: 10}}}
  deadline: {api: {expired: skip}}
"""
file = lesson.load(CLIENTS)

# %% [markdown]
# ## Predict
#
# Which of them succeed with more than 90 of 100 requests a second *after* the trouble? And which of them is useful *during*
# it? Say
# yes or no for the two bounds, and why.

# %%
lesson.predict("bound_30", "Does a bound of 30 bring it back (yes or no)?", None)
lesson.predict("bound_300", "Does a bound of 300 bring it back (yes or no)?", None)
lesson.predict("lifo", "Does LIFO (yes or no)?", None)
lesson.predict("token_bucket", "Does a token bucket of 40/s (yes or no)?", None)

# %% [markdown]
# ## Run

# %%
results = lesson.run(file)
found = {name: summary(result) for name, result in results.items()}
for name in ("bound_30", "bound_300", "lifo", "token_bucket"):
    lesson.reveal(name, "yes" if found[name]["after_goodput_per_s"] > 90 else "no")

# %%
for name, one in found.items():
    before, during, after = (one[f"{phase}_goodput_per_s"] for phase in ("before", "during", "after"))
    print(f"{name:13} {before:5.1f}/s before, {during:5.1f}/s in the trouble, {after:5.1f}/s after")

# %%
lesson.show("goodput", {name: results[name] for name in ("unbounded", "bound_30", "bound_300")})

# %% [markdown]
# ## Investigate
#
# **Why 30 and not 300.** A queue of n is worth n / capacity seconds of waiting. Full speed: 30/128 = 0.23 s, 300/128 = 2.3 s.
# Slow:
# 30/43 = 0.7 s. The timeout is 1 s. So from 300 places *everybody* who is served has left, at any speed, and a bound that
# is too large is no bound at all: both say 429, and only one of them is fail-fast.
#
# **Why LIFO works.** In overload not all can be served. First come, first served picks, of all who wait, the one with the least
# time left. Last come, first served picks the one with the most. Somebody waits for ever; they have left long ago.
#
# **Why the token bucket is a trap.** 40 a second is right for the trouble and wrong for all other days: a rate limit that is
# set
# by hand is right at one speed. (Limits that find out by themselves: `bpsim run adaptive_limit`.)
#
# **Why skipping is not enough.** Who has left is skipped for free; the next in turn has just a moment of its second left, and
# is
# begun, and leaves. The queue still picks the worst.

# %%
lesson.show("latency", {name: results[name] for name in ("bound_30", "lifo", "deadline")})

# %% [markdown]
# ## Modify
#
# The bound must be below capacity × timeout. Which capacity: that of good days (128/s) or that of the trouble (43/s)? Try 100
# places:
# 0.8 s at full speed, 2.3 s when slow.

# %%
lesson.predict("bound_100", "Does a bound of 100 bring it back (yes or no)?", None)
lesson.predict("bound_100_during", "Requests a second that succeed in the trouble with it (of 100, at most 43)?", None)
hundred = summary(lesson.run(lesson.load(CLIENTS, ["variants.bound_30.api.queue.records=100"]), only=["bound_30"])["bound_30"])
lesson.reveal("bound_100", "yes" if hundred["after_goodput_per_s"] > 90 else "no")
lesson.reveal("bound_100_during", hundred["during_goodput_per_s"])

# %% [markdown]
# ## Make
#
# A customer with a deadline of 300 ms arrives (`client.timeout=300 ms`). Which bound is right now? Find one that gives more
# than 25/s
# in the trouble and more than 95/s afterwards. `bpsim tune` finds it by itself; guess first.

# %%
mine = ["client.timeout=300 ms", "variants.bound_30.api.queue.records=30"]
tried = summary(lesson.run(lesson.load(CLIENTS, mine), only=["bound_30"])["bound_30"])
print({phase: round(tried[f"{phase}_goodput_per_s"], 1) for phase in ("before", "during", "after")})

# %% [markdown]
# ## Explain
#
# Your colleague says: "A 429 is an error, and we are measured by errors." …
#
# <details><summary>One answer</summary>
#
# In overload somebody is not served, whatever one does; the capacity decides how many. What one can choose is whether they are
# told
# at once, and whether the others are served in time. Without a bound *nobody* is: the error rate is 100 %, it is just called
# timeout. A bound of n places says how long one may wait, n / μ, and it should be less than anybody's patience on the worst
# day.
#
# </details>
#
# **To take away.** Bound < μ × timeout, with the μ of the bad day. A 429 too late is a timeout with another name.
