"""``seg_perception models bench``: what networks cost on this machine, runtime by runtime, in the kind of table that
model zoos publish.

:mod:`runs` asks every network in every runtime, each in a process of its own (:mod:`worker`); :mod:`eager` is how a
library's user would run it, to compare with; :mod:`scenes` has the images and what is true of them; :mod:`table` shows
what was found.
"""

from seg_perception.models.bench.runs import Row, Settings, bench

__all__ = ["Row", "Settings", "bench"]
