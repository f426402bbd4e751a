# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 4 · The death spiral
#
# **Question.** The API is three times slower for half a minute. It gets well again. Why is the site still down minutes later,
# and why does backoff not help?
#
# *You need:* lessons 1 and 2. *Time:* 9 minutes of reading, 30 with talking. *One idea:* a system can have two states under the
# same load, and a trigger that is long over can leave it in the bad one.

# %%
from bpsim import explain, summary
from bpsim.workshop import Lesson

lesson = Lesson("4_the_death_spiral")

# %% [markdown]
# 60 requests a second meet an API that can do 77. From 60 s to 90 s everything takes three times as long. Clients wait 1 s
# for a
# reply; then they stop waiting, **and the server does not know**. Three kinds of clients, on the same arrivals:
#
# - `no_retry` gives up;
# - `naive` tries at once, four times in all;
# - `backoff` tries four times in all, with pauses that double (100 ms, 200 ms, 400 ms), spread at random.

# %%
file = lesson.load("death_spiral", ["duration=4 min"])
KINDS = ["no_retry", "naive", "backoff"]

# %% [markdown]
# ## Predict
#
# The trouble is over at 90 s. For each kind: how many of 60 requests a second succeed **after** that, on average until 4 min?

# %%
lesson.predict("no_retry", "Requests a second that succeed after the trouble, no retries?", None)
lesson.predict("naive", "The same with naive retries?", None)
lesson.predict("backoff", "The same with exponential backoff and jitter?", None)

# %% [markdown]
# ## Run

# %%
results = lesson.run(file, only=KINDS)
found = {name: summary(result) for name, result in results.items()}
for name in KINDS:
    lesson.reveal(name, found[name]["after_goodput_per_s"])

# %%
lesson.show("goodput", results)

# %% [markdown]
# The grey line is what users want, the orange one what the API is asked for, the blue one what anybody has of it. After 90 s
# the
# API works at full speed, all the time. Look at who it works for:

# %%
for name in KINDS:
    one = found[name]
    tries, wasted = one["after_amplification"], one["wasted_share"]
    print(f"{name:9} {tries:.2f} attempts a request afterwards, {wasted:.0%} of the work for nobody")

# %% [markdown]
# ## Investigate
#
# The queue is in the order of arrival and has no bound. Once it is longer than *capacity × timeout*, whoever is served has left
# already. All work is for nobody, so all requests fail, so all are tried again: four times the load, which keeps the queue
# long. Nothing needs to be broken for it to stay so.

# %%
for finding in explain(results["naive"]).findings:
    print("-", finding.words)

# %% [markdown]
# **Why does backoff fail?** A pause delays an attempt; it does not take it away. Users come whether or not others have got
# their reply (an *open* system), so after a second or two the first retries of the later ones and the third retries of the
# earlier
# ones arrive together. The rate of attempts is the same as before: requests × tries.

# %%
print({name: round(found[name]["after_amplification"], 2) for name in ("naive", "backoff")})

# %% [markdown]
# Backoff does what it is for when trouble is *shorter* than the pauses, or when there are few clients each of which waits for
# its
# own reply. It spreads; it does not limit.
#
# ## Modify
#
# How strong must the trouble be? Let it be 1.1 times slower instead of three. Then 60/s meet 70/s: never overloaded. Predict
# what
# naive clients do to it.

# %%
lesson.predict("mild", "Requests a second that succeed afterwards when it is only 1.1 times slower?", None)
mild = lesson.run(lesson.load("death_spiral", ["duration=4 min", "faults.0.factor=1.1"]), only=["naive"])
lesson.reveal("mild", summary(mild["naive"])["after_goodput_per_s"])

# %% [markdown]
# The same clients, the same API. So the clients are harmless, and the API is harmless; together they have a state from which
# they
# do not come back, and it takes a push to get there. That is called **metastable**, and it is why the incident review finds no
# broken part.
#
# ## Make
#
# It is 92 s. You are on call, and everything is green but the users. What do you do? Make it recover without changing the
# clients:
# add a fault that takes load away (`{kind: spike, target: client, at: …, lasts: …, factor: …}` with a factor below 1 is fewer
# users). How much less load, for how long, is enough?

# %%
push = (
    "faults=[{kind: slowdown, target: api, at: 60 s, lasts: 30 s, factor: 3}, "
    "{kind: spike, target: client, at: 100 s, lasts: 30 s, factor: 0.5}]"
)
mine = lesson.run(lesson.load("death_spiral", ["duration=4 min", push]), only=["naive"])
print("recovered after", summary(mine["naive"])["recovery_time_s"], "s (nan: not in this run)")

# %% [markdown]
# ## Explain
#
# "We have exponential backoff with jitter, so retry storms cannot happen to us." …
#
# <details><summary>One answer</summary>
#
# Backoff bounds how often *one* client tries in a short time, not how many attempts *all* of them make per request. With open
# arrivals the load in the bad state is λ × tries, early or late. What ends it is what limits *work*: a budget for retries
# (lesson 5
# and `scenarios/retry_budget.yaml`), a queue that is shorter than capacity × timeout, or not doing what nobody waits for.
#
# </details>
#
# **To take away.** Load in the bad state = λ × tries. It stays if that exceeds μ. Backoff shifts it; budgets and short queues
# end it.
