#!/bin/sh
# Everything about speed that needs a GPU, in one command and under ten minutes:
#   sh experiments/speed/gpu.sh [FOLDER FOR THE RESULTS]
# Prints the tables and writes gpu_*.json. Wants a machine with jax[cuda], the packages of
# requirements.txt as far as the sampler needs them, and this checkout as the current folder.
cd "$(dirname "$0")/../.." || exit 1
out=${1:-experiments/speed}
python=${PYTHON:-python3}
mkdir -p "$out"
nvidia-smi --query-gpu=name,memory.total,clocks.max.sm --format=csv,noheader
# The programs are compiled once for all four runs.
cache="--compile_cache=${TMPDIR:-/tmp}/ifmdm_programs"
# Each part is printed and saved when it is there: what a time limit cuts off is the rest.
run() { timeout "$1" "$python" -m ifmdm_jax.bench $cache --json "$out/gpu_$2.json" $3; }
run 200 lite "--sizes lite --streams 256"
run 100 paper_float32 "--sizes paper --batches 1,8,16 --parts parts"
run 150 paper_bfloat16 "--sizes paper --dtype bfloat16 --batches 1,8,16 --parts parts,end"
run 140 refine_bfloat16 "--sizes paper_refine --dtype bfloat16 --batches 1,8 --parts parts"
