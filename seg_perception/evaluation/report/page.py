from pathlib import Path
from seg_perception.evaluation.evaluating import Evaluated


def write_report(path: Path, evaluated: Evaluated) -> None:
    pass
