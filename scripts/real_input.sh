#!/usr/bin/env bash
# Real camera frames and real networks through the real node: KITTI over DDS between three processes (node, player,
# planner), at half and at full speed, every message checked; CamVid val through the offline runner, scored.
#
#   scripts/real_input.sh [--out FOLDER]        default: real_input_out
#
# Needs the folder of real test data (kitti_seq, camvid_val, weights): ../shared/data, or $SEG_PERCEPTION_DATA.
# Look at the overlay video and the contact sheet that it names at its end.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${SEG_PERCEPTION_DATA:-../shared/data}
if [[ ! -d $data/kitti_seq || ! -d $data/weights ]]; then
    echo "real_input: there is no kitti_seq and weights in $data; set SEG_PERCEPTION_DATA to the folder that has them" >&2
    exit 1
fi
scripts/setup_env.sh
# BLAS threads would fight with the networks' own.
export OPENBLAS_NUM_THREADS=1
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
exec .venv/bin/python scripts/real_input.py --data "$data" "$@"
