"""The workshop: lessons in which one predicts before one sees, challenges, incidents, and a check of the machine."""

from bpsim.workshop.lesson import Lesson, NotPredicted
from bpsim.workshop.material import challenges, incidents, notebooks
from bpsim.workshop.picture import Picture

__all__ = ["Lesson", "NotPredicted", "Picture", "challenges", "incidents", "notebooks"]
