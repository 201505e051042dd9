"""From masks to space: cameras, depth images, point clouds and transforms become points with a class, an instance and
a confidence. Positions are metres, frames follow REP 103, stamps are integer nanoseconds.
"""
