#!/usr/bin/env bash
# What a few minutes of a GPU are for, in one call: CUDA tests, CUDA timings, then training. See docs/gpu.md.
#   OUT=folder tools/gpu-run.sh SECONDS BACKBONE DATA...
# Extra options for tools/gpu_train.py stand in TRAIN, pytest's and bench's limits in LIMIT (seconds each).
set -u
cd "$(dirname "$0")/.."
seconds=$1 backbone=$2
shift 2
out=${OUT:-runs/gpu-out} limit=${LIMIT:-60} python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=passive
mkdir -p "$out/logs"
ends=$((SECONDS + seconds))
nvidia-smi --query-gpu=name,memory.total --format=csv,noheader 2>&1 | tee "$out/logs/device.txt"
timeout "$limit" "$python" -m pytest -q -m cuda -n 4 tests/models tests/training 2>&1 | tail -40 | tee "$out/logs/tests.txt"
timeout "$limit" "$python" main.py bench --device "${DEVICE:-cuda}" --json "$out/logs/bench.json" 2>&1 | tail -40 | tee "$out/logs/bench.txt"
"$python" tools/gpu_train.py --seconds $((ends - SECONDS)) --device "${DEVICE:-cuda}" --backbone "$backbone" \
  --data "$@" --out "$out/made" ${TRAIN:-} 2>&1 | tee "$out/logs/train.txt" | grep -v "^codes at"
mv "$out"/made/*.safetensors "$out"/ 2>/dev/null  # files of at most 16 MB come back
tar -C "$out" -czf "$out/rest.tgz" logs made && rm -rf "$out/logs" "$out/made"
ls -la "$out"
