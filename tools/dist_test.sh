#!/usr/bin/env bash
# Test in several processes, one per GPU, or on the CPU where there is none.
# Usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of test.py]
set -euo pipefail

CONFIG=${1:?missing, see the usage at the top of $0}
CHECKPOINT=${2:?missing, see the usage at the top of $0}
PROCESSES=${3:?missing, see the usage at the top of $0}

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" \
    --launcher pytorch "${@:4}"
