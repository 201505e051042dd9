"""The exceptions this package raises on purpose.

Each carries one sentence for the person who reads it: what was wrong, where (file, topic, key), what was expected and
what to do.
"""


class SegPerceptionError(Exception):
    """Base of every error that this package raises on purpose; its text is meant for the user as it stands."""


class ConfigError(SegPerceptionError):
    """A configuration, label space or manifest that cannot be used as written."""


class ModelError(SegPerceptionError):
    """Weights that are missing, corrupt, or do not do what their manifest says."""


class InputError(SegPerceptionError):
    """One image, calibration or message that cannot be used; the stream it came from goes on."""


class BagError(SegPerceptionError):
    """A bag that cannot be read or written, or does not hold what was asked for."""


def first_line(error: BaseException) -> str:
    """What somebody else's error says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
