"""A procedural world with exact truth: streets and yards, people, vehicles and animals on the move, a robot that drives
through, its camera, depth camera and LiDAR, rendered by MuJoCo.

A seed decides everything. ``variants`` says what belongs to which split, ``mesh`` and ``textures`` make shapes and
surfaces, ``assets`` puts them together to things, ``layout`` to places, ``motion`` moves them, ``scene`` compiles a seed
into a MuJoCo model, ``camera`` and ``lidar`` look at it, ``sensors`` spoils the picture as a real camera would, ``bag``
and ``shards`` write what was seen.
"""
