#!/usr/bin/env bash
# The main job on the team's real data, from raw text to dev scores, in under an hour on two cores.
# A compact backbone is trained from scratch on unlabelled text; then the paper's stages. Stopped at any moment, the same
# command goes on where it was, and ends and says so where OUT_DIR is of other files of DATA_DIR.
# usage: runs/real.sh [DATA_DIR] [OUT_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
out=${2:-work/real}
config=runs/real.yaml
export PATH="$PWD/.venv/bin:$PATH"
source runs/stages.sh
needs "$data" "name the folder that holds news/ and forum/"
mkdir -p "$out"

for domain in news forum; do
  made_of "$out/data/$domain" "$data/$domain/train.csv"
  [ -f "$out/data/$domain/report.json" ] ||
    finsa prepare "$data/$domain/train.csv" --domain $domain --out "$out/data/$domain" --ratios 95/5/0
done

say "backbone"
made_of "$out/backbone" "$config:pretrain" "$data"/unlabelled/{finance,finance2,forum}.txt.xz
[ -f "$out/backbone/pretrain.json" ] ||
  finsa pretrain "$data"/unlabelled/{finance,finance2,forum,forum}.txt.xz --out "$out/backbone" --config $config --resume

mixture "$out" "$out/backbone" "$out/data" $config

say "evaluation on the dev files"
python runs/real.py "$data" "$out"
say "done"
