"""``python -m seg_perception`` is the command ``seg_perception``."""

from seg_perception.cli import main

raise SystemExit(main())
