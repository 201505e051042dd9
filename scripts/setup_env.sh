#!/usr/bin/env bash
# Makes or updates the virtual environment .venv of this checkout, with everything that tests and scripts need.
#
#   scripts/setup_env.sh
#
# Where a ROS 2 is sourced (source /opt/ros/jazzy/setup.bash), the environment sits on top of it; elsewhere ROS 2 Jazzy
# comes from PyPI, which needs CPython 3.11. PYTHON=... chooses another interpreter (without 3.11 or a sourced ROS:
# the core alone). Needs no root. Runs again at once when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE # another environment's: it would keep this one from finding its libraries

say() { printf '== %s\n' "$*"; }

options=()
if [[ -n ${ROS_DISTRO:-} ]] && "${PYTHON:-python3}" -c 'import rclpy' 2>/dev/null; then
    python=${PYTHON:-python3} extras=dev options=(--system-site-packages)
    ros="ROS 2 $ROS_DISTRO, as sourced"
elif command -v "${PYTHON:-python3.11}" >/dev/null; then
    python=${PYTHON:-python3.11}
    if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        extras=ros,ray,dev ros="ROS 2 Jazzy from PyPI"
    else
        extras=dev ros="no ROS: PyPI has it for CPython 3.11 only"
    fi
else
    cat >&2 <<'TEXT'
setup_env: no ROS 2 is sourced and there is no python3.11, for which alone PyPI has ROS 2. Do one of these:
  source /opt/ros/jazzy/setup.bash        where ROS 2 is installed
  apt install python3.11-venv             Debian 12
  uv python install 3.11                  anywhere, without root (https://docs.astral.sh/uv)
  PYTHON=python3 scripts/setup_env.sh     the core alone, without ROS
TEXT
    exit 1
fi

state=$(cat setup.py scripts/setup_env.sh scripts/build_vision_msgs.txt | sha256sum; "$python" -VV; echo "$ros")
if [[ ! -f .venv/made_from || $(<.venv/made_from) != "$state" ]]; then
    say "environment .venv: $("$python" -V), $ros"
    # pip comes with the environment only where the distribution has python3-venv.
    "$python" -m venv "${options[@]}" .venv || {
        echo "setup_env: $python cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
    if [[ $extras == dev && -n ${options[*]} ]]; then
        # What apt's ROS was built on stays: its cv_bridge crashes on numpy 2.
        .venv/bin/python -c 'import numpy; print(f"numpy=={numpy.__version__}")' >.venv/constraints.txt
        .venv/bin/python -m pip install --editable ".[$extras]" --constraint .venv/constraints.txt
    elif [[ $extras == ros,* ]]; then
        .venv/bin/python -m pip install --editable ".[$extras]" --requirement scripts/build_vision_msgs.txt
    else
        .venv/bin/python -m pip install --editable ".[$extras]"
    fi
    printf '%s\n' "$state" >.venv/made_from
fi

if [[ $extras == ros,* ]]; then
    say "vision_msgs (about a minute the first time)"
    .venv/bin/python scripts/build_vision_msgs.py || {
        [[ $? == 3 ]] || exit 1
        say "going on without vision_msgs: what needs it is off, and its tests are skipped"
    }
elif [[ -n ${options[*]} ]] && ! .venv/bin/python -c 'import vision_msgs.msg' 2>/dev/null; then
    say "no vision_msgs (apt install ros-$ROS_DISTRO-vision-msgs): what needs it is off, and its tests are skipped"
fi
