# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 7 · Measuring honestly
#
# **Question.** The load test says 11 ms. The users say a minute and a half. Both have measured the same system. Who is right,
# and how would
# you know?
#
# *You need:* lesson 1. *Time:* 9 minutes of reading, 25 with talking. *One idea:* a number is as good as the question it
# answers: who
# was asked, from when, and how often.

# %%
from bpsim import compare, summary
from bpsim.workshop import Lesson

lesson = Lesson("7_measuring_honestly")

# %% [markdown]
# An API answers in 1 ms. After 100 s it freezes, for 100 s. Then it goes on. Two ways to measure it:
#
# - `users` come a hundred times a second, whatever happens (**open**);
# - `tester` sends one request, waits for the reply, thinks for 9 ms, sends the next (**closed**). Most load generators do this.

# %%
file = lesson.load("coordinated_omission")

# %% [markdown]
# ## Predict

# %%
lesson.predict("users", "Mean latency of the users, in ms?", None)
lesson.predict("tester", "Mean latency that the tester reports, in ms?", None)
lesson.predict("p99", "p99 that the tester reports, in ms?", None)

# %% [markdown]
# ## Run

# %%
results = lesson.run(file)
found = {name: summary(result) for name, result in results.items()}
lesson.reveal("users", 1000 * found["users"]["latency_success_s_mean"])
lesson.reveal("tester", 1000 * found["tester"]["latency_success_s_mean"])
lesson.reveal("p99", 1000 * found["tester"]["latency_success_s_p99"])

# %%
lesson.show("latency", results)

# %% [markdown]
# Half of the time nothing worked, and the tester's p99.9 is a millisecond. It asked nothing during the freeze: it was waiting
# for *one*
# reply. It reports one bad value of ten thousand, where users would have had ten thousand bad ones. This is **coordinated
# omission**:
# the measured system decided when it would be measured.

# %%
for name, one in found.items():
    p50, p999 = one["latency_success_s_p50"], one["latency_success_s_p999"]
    print(f"{name:7} {one['offered']:6.0f} requests, p50 {p50:.3f} s, p99.9 {p999:.3f} s")

# %% [markdown]
# ## Investigate
#
# The same difference decides whether a retry storm is possible at all. A closed client who waits cannot send more; open users
# can.
# If you test a death spiral (lesson 4) with ten patient threads, you will not see one.
#
# **Which percentile of what?** *Latency of the successes* in a collapse is excellent: only those who were quick succeeded.
# Compare
# it with the time to the *final outcome*, failures too:

# %%
spiral = lesson.run(lesson.load("gc_pause"), only=["naive"])["naive"]
one = summary(spiral)
print(
    f"p99 of the successes {one['latency_success_s_p99']:.2f} s, of all outcomes {one['latency_final_s_p99']:.2f} s; "
    f"{one['success_share']:.0%} succeed"
)

# %% [markdown]
# **How often?** One run is one throw of the dice. The queue of lesson 1 at 95 %, three minutes, ten seeds, that is ten equally
# true days:

# %%
QUEUE = """
question: How much do equally true days differ?

duration: 3 min

client:
  arrivals: {kind: poisson, rate: 95/s}
api:
  workers: 1
  service: {kind: exponential, mean: 10 ms}

variants:
  as_is: {}
  two_percent_faster: {api: {service: {mean: 9.8 ms}}}
"""
queue = lesson.load(QUEUE)
lesson.predict("spread", "The worst of ten days' mean latencies divided by the best?", None)
days = [summary(lesson.run(queue, seed, only=["as_is"])["as_is"])["latency_success_s_mean"] for seed in range(1, 11)]
print([f"{1000 * day:.0f} ms" for day in days])
lesson.reveal("spread", max(days) / min(days))

# %% [markdown]
# ## Modify
#
# Somebody made the handler 2 % faster. Is it visible? Not by one run of each: the days differ by more than the change. But
# give both
# the *same* arrivals and the *same* demands, day by day (**common random numbers**), and look at the differences:

# %%
lesson.predict("seen", "With ten paired seeds: is the improvement seen (yes or no)?", None)
both = compare(queue, seeds=10, metrics=["latency_success_s_mean"])
row = both.differences.iloc[0]
lesson.reveal("seen", "yes" if row["seen"] else "no")
print(f"{1000 * row['difference']:.0f} ± {1000 * row['half_width']:.0f} ms against {1000 * row['baseline_mean']:.0f} ms")

# %% [markdown]
# ## Make
#
# Write the sentence for the report about this change: what was compared, on how much, the difference, and its interval. Then
# take
# three seeds instead of ten, and write it again.
#
# ## Explain
#
# "p99 was 180 ms in the load test." Which four questions do you ask? …
#
# <details><summary>One answer</summary>
#
# *Open or closed?* Did the load go on while the system stood? *Of whom?* Successes, or everybody? *From when?* From when the
# request
# should have been sent, with its retries? *How often?* On how many independent runs, with which interval? A number without
# these is
# an anecdote with decimals.
#
# </details>
#
# **To take away.** Open load, time from the intended start, failures included, several seeds, an interval.
