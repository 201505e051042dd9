#!/usr/bin/env bash
# Everything that must hold before a change lands, on a fresh machine: style, types, and the tests, on the newest
# libraries with ROS 2, on those of an older robot without, and with torch and the libraries that build networks (which
# download 3 GB once and need 10 GB of disk while they are installed: PyPI's torch brings CUDA. Where there is less,
# their tests are left out, and the last lines say so).
#
#   scripts/test.sh [PYTEST OPTIONS]
#
# Real data in ../shared/data (or $SEG_PERCEPTION_DATA) is used where it is; without it those tests are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '== %s\n' "$*"; }

scripts/setup_env.sh
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
# One thread each: the tests run two at a time.
export OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1

say "ruff"
.venv/bin/ruff format --check .
.venv/bin/ruff check .
say "mypy"
.venv/bin/mypy

state=$(cat scripts/numpy1.txt; .venv/bin/python -VV)
if [[ ! -f .venv-numpy1/made_from || $(<.venv-numpy1/made_from) != "$state" ]]; then
    say "environment .venv-numpy1: numpy 1.26 and OpenCV 4.6, without ROS"
    "$(.venv/bin/python -c 'import sys; print(sys._base_executable)')" -m venv .venv-numpy1
    .venv-numpy1/bin/python -m pip install --requirement scripts/numpy1.txt
    printf '%s\n' "$state" >.venv-numpy1/made_from
fi
say "tests of the core on numpy 1.26 and OpenCV 4.6"
needs_more="^ *(from|import) (rclpy|rosbags|mcap|[a-z]+_msgs|ros_[a-z]+|seg_perception\.(ros|offline|interfaces))"
mapfile -t core < <(grep -LE "$needs_more" test/test_*.py)
.venv-numpy1/bin/python -m pytest -n 2 --dist loadfile "${core[@]}" "$@"

left_out=
state=$(sha256sum setup.py; .venv/bin/python -VV)
if [[ ! -f .venv-torch/made_from || $(<.venv-torch/made_from) != "$state" ]]; then
    say "environment .venv-torch: torch, torchvision, transformers, segmentation-models-pytorch, without ROS"
    rm -rf .venv-torch # half of one, or an older one, would take the room that this one needs
    free=$(df --output=avail --block-size=1G . | tail -n 1)
    if ((free < 10)); then
        left_out="tests of networks that a library builds: $((free)) GB are free here, and torch with CUDA needs 10"
    else
        "$(.venv/bin/python -c 'import sys; print(sys._base_executable)')" -m venv .venv-torch
        .venv-torch/bin/python -m pip install --no-cache-dir --editable ".[transformers,smp,export,dev]" \
            "torchmetrics>=1.9,<2"
        printf '%s\n' "$state" >.venv-torch/made_from
    fi
fi
if [[ -n $left_out ]]; then
    say "LEFT OUT: $left_out"
else
    say "tests of networks that a library builds"
    mapfile -t torch < <(grep -l torch test/test_*.py)
    .venv-torch/bin/python -m pytest -n 2 --dist loadfile "${torch[@]}" "$@"
fi

say "all tests"
.venv/bin/python -m pytest -n 2 --dist loadfile "$@"
[[ -z $left_out ]] || say "LEFT OUT: $left_out"
