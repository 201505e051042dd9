#!/usr/bin/env bash
# The whole road on a bare machine: a bag of this project's own world through the shipped networks, over DDS between
# player, segmentation node and planner's end, scored against the exact truth. Needs no root, no GPU, no ROS installed;
# once the environment is made (315 MB of downloads), no network either.
#
#   scripts/demo.sh                    over DDS, as on a robot
#   scripts/demo.sh --offline          the same through `seg_perception run`, without DDS
#   scripts/demo.sh --out FOLDER       default: demo_out, where you are
#
# Ends with a table, and leaves summary.json, overlay.webm and contact_sheet.png.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd) # paths on the command line are the caller's
"$root/scripts/setup_env.sh"
# BLAS threads would fight with the networks' own.
export OPENBLAS_NUM_THREADS=1
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
exec "$root/.venv/bin/python" "$root/scripts/demo.py" "$@"
