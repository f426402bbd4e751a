"""What became of a system: healthy, degraded, recovered, metastable, overloaded, crashed, or too early to say.

A collapse that outlasts its cause is called metastable only against counterfactuals with the same random numbers: without
the trigger the system must be well, and the time in which it would have drained must be over (Bronson et al., HotOS 2021;
Huang et al., OSDI 2022).

`judge` does it all. Where controls are run elsewhere, `first_look` says what a run tells by itself: a `Verdict`, or a
`Collapse` that is small, can be sent anywhere, and settles once it is told how the `controls` ended.
"""

from bpsim.verdict.collapse import Collapse, Ending, ending_of
from bpsim.verdict.judge import Rerun, first_look, judge
from bpsim.verdict.state import State, Verdict

__all__ = ["Collapse", "Ending", "Rerun", "State", "Verdict", "ending_of", "first_look", "judge"]
