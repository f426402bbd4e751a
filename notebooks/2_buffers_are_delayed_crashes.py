# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 2 · Buffers are delayed crashes
#
# **Question.** The API runs out of memory. Somebody gives it ten times as much. What did that buy?
#
# *You need:* lesson 1. *Time:* 8 minutes of reading, 20 with talking. *One idea:* when more comes than goes, a buffer does not
# decide *whether* it ends badly. It decides when, how long people wait before, and how much is lost then.

# %%
from bpsim import ledger, summary
from bpsim.theory import BufferOverflow
from bpsim.workshop import Lesson

lesson = Lesson("2_buffers_are_delayed_crashes")

# %% [markdown]
# An API can do 100 requests a second, and 200 come. Nobody gives up, so whatever is not served waits in memory, 10 kB each. At
# the limit of its heap the process dies.

# %%
SCENARIO = """
question: Twice as much comes in as the API can do. How much does ten times more memory help?

duration: 110 s

client:
  arrivals: {kind: poisson, rate: 200/s}
  record_size: 10 kB

api:
  workers: 10
  service: {kind: exponential, mean: 100 ms}   # 100 requests/s, so the backlog grows by 100/s: 1 MB/s

variants:
  small: {api: {heap: 10 MB}}
  large: {api: {heap: 100 MB}}
"""
file = lesson.load(SCENARIO)

# %% [markdown]
# ## Predict
#
# The small one dies after about 10 s, and loses about 1,000 requests. For the large one: when does it die, how many requests
# does
# it take along, and how long did the last ones wait that still got an answer?

# %%
lesson.predict("dies", "The large one dies after how many seconds?", None)
lesson.predict("lost", "How many requests die with it?", None)
lesson.predict("waited", "How many seconds did the last answered request take?", None)
lesson.predict("goodput", "Requests a second answered until the crash: large divided by small?", None)

# %% [markdown]
# ## Run

# %%
results = lesson.run(file)
found = {name: summary(result) for name, result in results.items()}
small, large = found["small"], found["large"]
lesson.reveal("dies", large["crash_time_s"])
lesson.reveal("lost", large["crash_lost_requests"])
lesson.reveal("waited", large["latency_before_crash_s"])
per_s = {name: ledger(results[name])["requests"]["ok"] / found[name]["crash_time_s"] for name in results}
lesson.reveal("goodput", per_s["large"] / per_s["small"])

# %% [markdown]
# Ten times the memory: ten times the time to the crash, ten times the requests lost in it, ten times the wait before. And not
# one
# more request answered per second, because the buffer never was what was missing.

# %%
lesson.show("memory", results)

# %% [markdown]
# ## Investigate
#
# Three formulas, and they need no simulation. With λ in, μ out, B bytes of memory and s bytes a request:
# time to the crash = B / ((λ − μ) · s); lost = B / s; wait just before = B / s / μ.

# %%
for name, heap in (("small", 10e6), ("large", 100e6)):
    theory = BufferOverflow(arrival_rate=200, service_rate=100, record_bytes=10e3, buffer_bytes=heap)
    print(f"{name}: theory {theory.time_to_full:.0f} s, simulated {found[name]['crash_time_s']:.1f} s")

# %% [markdown]
# Every request is accounted for. What does the ledger say about those who were inside?

# %%
for name, result in results.items():
    print(name, {what: count for what, count in ledger(result)["requests"].items() if count})

# %% [markdown]
# ## Modify
#
# Now bound the queue at 50 requests, worth half a second, and turn the others away. The heap is the small one. Guess first:
# what
# share of the requests succeeds, and what is the slowest percent of the successes?

# %%
lesson.predict("share", "Share of the requests that succeeds with a queue of 50 (0 to 1)?", None)
lesson.predict("p99", "p99 of the successes, in seconds?", None)
bounded = lesson.run(lesson.load(SCENARIO, ["api.queue.records=50"]), only=["small"])
lesson.reveal("share", summary(bounded["small"])["success_share"])
lesson.reveal("p99", summary(bounded["small"])["latency_success_s_p99"])

# %%
lesson.show("losses", {"no bound": results["small"], "bound of 50": bounded["small"]})

# %% [markdown]
# Half of them are told *no* at once; the other half is served within a second, for ever, in half a megabyte. With 100 MB all of
# them were told *yes*, and then all that were inside were lost.
#
# ## Make
#
# Overload that *ends* is another matter: for a burst, a buffer is right. Let 200/s come for the first 5 s only, then 60/s.
# Find the
# smallest queue that loses nobody, and say how long the slowest waits. Is that short enough for your users?

# %%
burst = [
    "client.arrivals.kind=piecewise",
    "client.arrivals.points=[{at: 0 s, rate: 200/s}, {at: 5 s, rate: 60/s}]",
    "api.queue.records=50",
]
mine = summary(lesson.run(lesson.load(SCENARIO, burst), only=["small"])["small"])
print(f"{mine['success_share']:.1%} succeed, p99 {mine['latency_success_s_p99']:.2f} s")

# %% [markdown]
# ## Explain
#
# Somebody proposes "a bigger queue, to be on the safe side". What do you ask them? …
#
# <details><summary>One answer</summary>
#
# *Is λ above μ for long?* If so, no size helps, and a larger one makes the crash rarer to see and worse when it comes. *How
# long is
# the burst, and who waits that long?* A queue worth more seconds than anybody waits is memory for people who have left. The
# right
# size of a queue is a time, not a number: capacity × the wait you would still call an answer.
#
# </details>
#
# **To take away.** t = B / ((λ − μ) · s). Wait = backlog / μ. A buffer absorbs *variation*; it does not absorb *overload*.
