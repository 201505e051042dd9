"""Trains the two small networks that the package ships, on the world of ``tools.world``.

One network is trained on both tasks at once and exported as two: they share what they learn, and each runs without the
other's head. ``data`` reads the shards, ``networks`` holds the layers, ``losses`` the objectives, ``run`` the loop,
``evaluate`` scores, ``export`` writes ONNX.
"""
