"""How good the masks are: metrics on plain arrays, equal to the field's reference packages.

One histogram of a pair of panoptic maps (:mod:`segments`) is what IoU by class, panoptic quality, identity and video
metrics are computed from. What is counted is kept as counts, so results of frames, sequences and bags add up with
``+``; scores are properties of the sums, 0..1, NaN where a class never occurs. Start at :class:`sequence.Scorer`, which
takes one sequence frame by frame. What each number means, and its source, is in docs/evaluation.md.
"""
