"""A procedural world with exact truth: streets and yards, people, vehicles and animals on the move, a robot that drives
through, its camera, depth camera and LiDAR, rendered by MuJoCo.

A seed decides everything. ``variants`` says what belongs to which split. ``mesh`` and ``textures`` make shapes and
surfaces; ``kit`` puts them into a MuJoCo specification; ``people``, ``vehicles``, ``animals`` and ``objects`` build
``things`` from them, ``scenery`` what stands still, ``layout`` a ``place`` of it, and ``light`` the sky. ``motion`` is
the paths. ``scene`` compiles a seed into a model, ``camera`` and ``lidar`` look at it, ``sensors`` spoils the picture
as a real camera would. ``sequence`` drives through a scene, ``bag`` writes that down; ``scatter`` makes single views,
``shards`` writes those.
"""
