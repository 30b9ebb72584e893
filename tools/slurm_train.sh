#!/usr/bin/env bash
# Train on a Slurm cluster, one task per GPU.
# Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options]
set -euo pipefail

PARTITION=${1:?missing, see the usage at the top of $0}
JOB_NAME=${2:?missing, see the usage at the top of $0}
CONFIG=${3:?missing, see the usage at the top of $0}
WORK_DIR=${4:?missing, see the usage at the top of $0}
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}

# SRUN_ARGS holds several options in one variable, so it is left unquoted.
# shellcheck disable=SC2086
exec srun \
    --partition="$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres="gpu:$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$CONFIG" \
    --work-dir "$WORK_DIR" --launcher slurm "${@:5}"
