#!/bin/sh
# A piece of training on a GPU, under nine minutes with compiling; the next call goes on from there.
#   sh experiments/implicit/gpu.sh CACHE[,CACHE] WORKDIR RESULTS [flow|pairs] [WORKDIR of the stage before]
# Leaves in RESULTS the weights of the stage (half precision), the log, and the last pictures.
# Wants a machine with jax[cuda], the packages of requirements.txt as far as training needs them, and
# this checkout as the current folder.
cd "$(dirname "$0")/../.." || exit 1
[ $# -ge 3 ] || { echo 'usage: gpu.sh CACHE WORKDIR RESULTS [flow|pairs] [WORKDIR before]' >&2; exit 2; }
cache=$1 workdir=$2 results=$3 stage=${4:-flow} before=$5
python=${PYTHON:-python3}
mkdir -p "$results"
nvidia-smi --query-gpu=name,memory.total --format=csv,noheader
[ -n "$before" ] && from="--init_from $before"
# Stopped by an interrupt a run keeps where it is. Batches of 32 pictures, 128 pairs, where two cores take 4.
timeout -s INT 450 "$python" -m ifmdm_jax.train --config implicit:small --workdir "$workdir" $from \
  --config.data.cache="$cache" --config.model.stage="$stage" --config.train.batch=32 \
  --config.train.eval_every=500 --config.train.pictures_every=1000 --config.train.save_every_minutes=2
"$python" -m ifmdm_jax.train --workdir "$workdir" --export "$results/$stage.safetensors"
cp "$workdir/log.csv" "$results/$stage.csv"
cp "$workdir"/pictures/*.png "$results/" 2>/dev/null
grep ',val/' "$results/$stage.csv" | tail -12
