"""Which frames are worth labelling next, and their pre-labels.

Every bag goes through the pipeline once; :mod:`observed` scores each frame on the way, by the functions of
:mod:`scores`. :mod:`selection` then chooses among the frames of all bags, and :mod:`coco` writes what annotation tools
import. ``seg_perception mine`` is :mod:`commands`; what each reason means is in docs/mining.md.
"""
