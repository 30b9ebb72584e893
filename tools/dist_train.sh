#!/usr/bin/env bash
# Train in several processes, one per GPU, or on the CPU where there is none.
# Usage: tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
set -euo pipefail

CONFIG=${1:?missing, see the usage at the top of $0}
PROCESSES=${2:?missing, see the usage at the top of $0}

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
