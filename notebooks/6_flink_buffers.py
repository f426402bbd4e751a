# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 6 · Flink: the fastest buffer is an empty one
#
# **Question.** A Flink job is back pressured, and its checkpoints take longer and longer. Which line of `flink-conf.yaml`
# changes
# that, and what does it cost?
#
# *You need:* lessons 1 to 3. *Time:* 9 minutes of reading, 25 with talking. *One idea:* what is in the buffers is what
# everything
# behind it has to wait for, barriers included.

# %%
from bpsim import explain, summary
from bpsim.shipped import folder
from bpsim.tiers.flink.conf_file import parse_conf
from bpsim.workshop import Lesson

lesson = Lesson("6_flink_buffers")

# %% [markdown]
# This is a real `flink-conf.yaml`, as one finds it in `conf/` up to Flink 1.20. bpsim reads it by Flink's own rules.

# %%
path = folder() / "flink" / "flink-conf.yaml"
text = path.read_text(encoding="utf-8")
print("\n".join(line for line in text.splitlines() if line and not line.startswith("#")))

# %% [markdown]
# Records of 1 kB travel from task to task in **network buffers** of 32 kB. A receiver gives its sender a *credit* for each
# buffer
# it has free; without credit the sender keeps what it has, fills its own output pool, and is then *back pressured*.
#
# Our job: a source and one operator, two subtasks each, every record to the next subtask in turn. A record takes the operator
# 10 ms: 200 a second in all. 300 come.

# %%
options = dict(parse_conf(text, "flink-conf.yaml", (1, 20)).options)
DEBLOAT = "taskmanager.network.memory.buffer-debloat.enabled"
UNALIGNED = "execution.checkpointing.unaligned.enabled"
JOB = f"""
question: How long does a checkpoint take when the last operator is too slow?

duration: 55 s

client:
  arrivals: {{kind: poisson, rate: 300/s}}
  record_size: 1 kB
api: {{workers: 20, service: {{kind: exponential, mean: 5 ms}}}}
producer: {{}}
broker: {{}}
consumer: {{when_full: block}}
flink:
  version: "1.20"
  options: {options}
  operators:
    - {{name: source, parallelism: 2}}
    - {{name: enrich, parallelism: 2, service: 10 ms}}
writer: {{batch_rows: 50, batch_interval: 50 ms, per_insert: 5 ms, per_row: 500 us}}

variants:
  full_buffers: {{flink: {{options: {{{DEBLOAT}: false}}}}}}
  debloated: {{}}
  unaligned: {{flink: {{options: {{{DEBLOAT}: false, {UNALIGNED}: true}}}}}}
"""
file = lesson.load(JOB)

# %% [markdown]
# ## Predict
#
# A checkpoint sends a **barrier** through the job, and it waits in turn behind the data. Between the two tasks there are a few
# dozen
# buffers of 32 kB, some half a megabyte before each subtask, which does 100 records of 1 kB a second. How long does the barrier
# take: with full buffers, and when debloating keeps them at one second's worth?

# %%
lesson.predict("full_buffers", "Seconds that a checkpoint takes with full buffers?", None)
lesson.predict("debloated", "Seconds with debloating to 1 s?", None)
lesson.predict("throughput", "Records in the database: debloated divided by full buffers?", None)

# %% [markdown]
# ## Run

# %%
results = lesson.run(file)
took = {}
for name, result in results.items():
    checkpoints = result.frame("checkpoints")
    took[name] = float((checkpoints["ended_s"] - checkpoints["triggered_s"]).mean())
lesson.reveal("full_buffers", took["full_buffers"])
lesson.reveal("debloated", took["debloated"])
written = {name: summary(result)["delivered"] for name, result in results.items()}
lesson.reveal("throughput", written["debloated"] / written["full_buffers"])

# %% [markdown]
# Several times as fast, and not one record less: the operator was busy all the time in both. A buffer that is always full adds
# nothing to the throughput; all it holds is time.

# %%
for name, result in results.items():
    last = result.frame("flink").groupby("vertex").last()
    columns = ["busyTimeMsPerSecond", "hardBackPressuredTimeMsPerSecond", "inputQueueSize", "debloatedBufferSize"]
    print(name, last[columns].round(0).to_string(), sep="\n")

# %% [markdown]
# ## Investigate
#
# Read the table as you read Flink's web UI. The operator is *busy* 1000 ms of every second; the source is *back pressured*.
# The job to
# fix is the first one that is busy and not back pressured: pressure shows you its victims first.
#
# Where is the rest of the backlog? Not in Flink. It is in Kafka, as lag, and debloating does nothing about it.

# %%
for finding in (*explain(results["debloated"]).part("spread"), *explain(results["debloated"]).part("stop")):
    print("-", finding.words)

# %%
lesson.show("wave", {"debloated": results["debloated"]})

# %% [markdown]
# **The third variant**, unaligned: the barrier overtakes the data, which is written into the checkpoint.

# %%
for name, result in results.items():
    last = result.frame("checkpoints").iloc[-1]
    print(f"{name:13} {took[name]:5.2f} s, {last['persisted_bytes'] / 1e3:7.1f} kB of records in the checkpoint")

# %% [markdown]
# It is the fastest, and it pays in bytes: what was in flight is stored, and has to be read again when the job restarts.
#
# ## Modify
#
# Debloating aims at a time. What if the target is 200 ms? Predict the checkpoint's time.

# %%
lesson.predict("target", "Seconds that a checkpoint takes with a target of 200 ms?", None)
TARGET = "taskmanager.network.memory.buffer-debloat.target"
shorter = lesson.load(JOB.replace(f"'{TARGET}': '1s'", f"'{TARGET}': '200 ms'"))
checkpoints = lesson.run(shorter, only=["debloated"])["debloated"].frame("checkpoints")
lesson.reveal("target", float((checkpoints["ended_s"] - checkpoints["triggered_s"]).mean()))

# %% [markdown]
# ## Make
#
# Put your own configuration in the place of `text`, your operators into the job, and ask what a checkpoint costs on your worst
# day.
# `bpsim flink-memory your-flink-conf.yaml` says what it lets be in flight without running anything.
#
# ## Explain
#
# "Our checkpoints time out, so we gave the job more network memory." …
#
# <details><summary>One answer</summary>
#
# More buffers hold more records in front of the barrier: the same rate, a longer queue, slower checkpoints. If the job is too
# slow,
# buffers cannot help; if it is fast enough, they are empty. Debloat to keep the wait short, go unaligned if it must not depend
# on the wait at all, and add parallelism to the operator that is busy.
#
# </details>
#
# **To take away.** Time in a buffer = bytes in it / bytes a second. A barrier waits it out at every exchange.
