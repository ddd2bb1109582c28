#!/usr/bin/env bash
# The default model from raw text to its folder of graphs: backbone, auxiliary tasks, experts, mixture; the mixture labels
# unlabelled text for a second round; calibration and export. Whatever is equal or near to a dev text is dropped before
# anything learns from it. Each stage is skipped when done; stopped at any moment, the same command goes on where it was.
# usage: runs/default_model.sh [DATA_DIR] [OUT_DIR]   settings: CONFIG=file ROUNDS=1|2 POOL=rows START=backbone (or none)
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
out=${2:-work/default}
config=${CONFIG:-runs/default_model.yaml}
rounds=${ROUNDS:-2}
pool=${POOL:-120000}
from=${START-models/wip}
export PATH="$PWD/.venv/bin:$PATH"
[ -d "$data" ] || { echo "runs/default_model.sh: $data: no such folder; name the folder that holds news/ and forum/" >&2; exit 2; }
mkdir -p "$out"
say() { echo "[$(date +%H:%M:%S)] $*"; }
held=()
for file in "$data"/*/dev*.csv; do held+=(--hold-out "$file"); done

say "rows"
[ -f "$out/data/news/report.json" ] ||
  finsa prepare "$data/news/train.csv" --domain news --out "$out/data/news" --ratios 95/5/0 "${held[@]}"
[ -f "$out/data/forum/report.json" ] ||
  finsa prepare "$data"/forum/train.csv "$data"/forum/train_investors.csv --domain forum --out "$out/data/forum" \
    --ratios 95/5/0 "${held[@]}"

say "backbone"
start=()
[ -d "$from" ] && start=(--init "$from")
processes=$(python -c 'import os, torch; print(torch.cuda.device_count() or len(os.sched_getaffinity(0)))')
[ -f "$out/backbone/pretrain.json" ] ||
  OMP_NUM_THREADS=1 torchrun --nproc-per-node "$processes" --no-python finsa pretrain \
    "$data"/unlabelled/{finance,finance2,forum,forum}.txt.xz --out "$out/backbone" --config "$config" --resume \
    ${start[@]+"${start[@]}"} "${held[@]}"

tasks=(--task news="$out/data/news" --task forum="$out/data/forum")
for name in news/extra_cfsc news/extra_xmu_binary forum/extra_finfe other/event_types; do
  [ -f "$data/$name.csv" ] && tasks+=(--task "${name##*[/_]}=$data/$name.csv")
done

for round in $(seq "$rounds"); do
  here="$out/round$round"
  taught=()
  if [ "$round" -gt 1 ]; then
    say "round $round: the mixture of round $((round - 1)) reads unlabelled text"
    for domain in news forum; do
      answers="$here/answers.$domain.csv"
      [ -f "$here/pool.$domain.csv" ] || python runs/pool.py "$data" $domain "$pool" "$here/pool.$domain.csv"
      [ -f "$answers" ] ||
        finsa predict --model "$out/round$((round - 1))/runtime" --input "$here/pool.$domain.csv" --output "$answers"
      taught+=(--soft "$domain-answers=$answers")
    done
  fi
  say "round $round: tasks"
  [ -f "$here/backbone/adapt.json" ] ||
    finsa adapt "$out/backbone" --out "$here/backbone" --config "$config" --resume "${tasks[@]}" \
      ${taught[@]+"${taught[@]}"} "${held[@]}"
  for domain in news forum; do
    say "round $round: expert $domain"
    [ -f "$here/experts/$domain/expert.json" ] ||
      finsa train-expert $domain "$out/data/$domain" --out "$here/experts/$domain" --backbone "$here/backbone" \
        --config "$config" --resume
  done
  say "round $round: mixture"
  [ -f "$here/moe_init/config.json" ] ||
    finsa merge --expert news="$here/experts/news" --expert forum="$here/experts/forum" --out "$here/moe_init" \
      --config "$config"
  [ -f "$here/joint/moe_joint/metrics.json" ] ||
    finsa train-joint "$here/moe_init" --data news="$out/data/news" --data forum="$out/data/forum" --out "$here/joint" \
      --config "$config" --resume
  say "round $round: export"
  [ -f "$here/runtime/config.json" ] ||
    finsa export "$here/joint/moe_joint" --out "$here/runtime" \
      --background "$data/unlabelled/general.txt.xz" --background "$data/unlabelled/general2.txt.xz"
done
say "done: $out/round$rounds/runtime"
