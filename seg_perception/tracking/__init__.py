"""Boxes and masks over time: detections of single frames in, tracks with lasting ids out."""

from seg_perception.tracking.tracker import Tracker, TrackerConfig

__all__ = ["Tracker", "TrackerConfig"]
