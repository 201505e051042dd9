"""Bags in, bags out, without DDS: reading, writing, and the pipeline over every frame of a bag."""
