"""Where the package's own files (launch/, config/, rviz/) are: beside the source in a checkout, under
``share/seg_perception`` once colcon or pip has installed it.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from seg_perception.errors import ConfigError


@cache
def share() -> Path:
    """The folder that holds ``config/``, ``launch/`` and ``rviz/``; raises :class:`ConfigError` where the
    installation has none.
    """
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "package.xml").is_file():
        return checkout
    # colcon: <prefix>/lib/python3.x/site-packages/seg_perception; pip: the same with the environment (or ~/.local) as
    # prefix.
    prefixes = [*Path(__file__).resolve().parents, Path(sys.prefix)]
    for prefix in prefixes:
        candidate = prefix / "share" / "seg_perception"
        if (candidate / "config").is_dir():
            return candidate
    raise ConfigError(
        f"the package's files are missing: no share/seg_perception/config above {checkout} or in {sys.prefix}; "
        "install seg_perception again"
    )


def find(kind: str, name_or_path: str | Path) -> Path:
    """The YAML file ``name_or_path`` itself, or the shipped ``config/<kind>/<name>.yaml``; raises
    :class:`ConfigError` listing what there is.
    """
    given = Path(name_or_path).expanduser()
    if given.suffix in (".yaml", ".yml"):
        if given.is_file():
            return given
        raise ConfigError(f"{kind}: there is no file {given}")
    shipped = share() / "config" / kind / f"{name_or_path}.yaml"
    if shipped.is_file():
        return shipped
    raise ConfigError(
        f"{kind}: no '{name_or_path}' among the shipped ones ({', '.join(names(kind))}); "
        "expected one of these or a path that ends in .yaml"
    )


def names(kind: str) -> list[str]:
    """The names of the shipped files of that kind (``labels``, ``models``)."""
    return sorted(path.stem for path in (share() / "config" / kind).glob("*.yaml"))
