#!/usr/bin/env bash
# When does a new expert pay? Four domains, each at 100, 300 and 1,000 labelled rows by five seeds, beside character TF-IDF on
# the same rows; then the other use of the rows, learnt by an old expert among rows of its own.
# The default model has learnt labels of three of the domains, so they are added to a mixture made here of news and
# boards alone, in the way of the default one: a backbone adapted to both, an expert each, joint training. Whatever is near to a
# text of the four domains or to a dev text is dropped before anything learns. Microblog is added to the default model too.
# Each stage is skipped when done, and a cell is kept as it ends; stopped at any moment, the same command goes on, and ends and
# says so where what stands was made of other files.
# usage: runs/new_domain.sh [DATA_DIR] [OUT_DIR]   settings: START=backbone  DEFAULT=mixture
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
out=${2:-work/new_domain}
config=runs/new_domain.yaml
export PATH="$PWD/.venv/bin:$PATH"
source runs/stages.sh
needs "$data" "name the folder that holds news/ and forum/"
held=()
for file in "$data"/*/dev*.csv "$data"/{other/announcement_weak_binary,other/weibo_risk_binary,forum/train_investors,news/extra_xmu_binary}.csv; do
  held+=(--hold-out "$file")
done

say "rows"
made_of "$out/readings" runs/readings/*.csv "$data"/{news,forum,other} "$data"/unlabelled/{finance,finance2,forum}.txt.xz
[ -f "$out/readings/news.csv" ] || python runs/readings.py "$data" "$out/readings"
rows() { # rows DOMAIN SRC…
  local domain=$1
  shift
  made_of "$out/rows/$domain" "$@" "${held[@]}"
  [ -f "$out/rows/$domain/report.json" ] ||
    finsa prepare "$@" --domain "$domain" --out "$out/rows/$domain" --ratios 95/5/0 --force "${held[@]}"
}
rows news "$data/news/train.csv" "$out/readings/news.csv"
rows forum "$data/forum/train.csv" "$out/readings/boards.csv"

say "a backbone that knows both"
made_of "$out/student" "${START:-models/pretrained}" "$out/rows" "$config:adapt"
[ -f "$out/student/adapt.json" ] ||
  finsa adapt "${START:-models/pretrained}" --out "$out/student" --config "$config" --resume \
    --task news="$out/rows/news" --task forum="$out/rows/forum" "${held[@]}"
mixture "$out" "$out/student" "$out/rows" $config
mixture=$out/joint/moe_joint

say "new experts"
python runs/new_domain.py "$mixture" "$out" "$data"
say "a new expert of the default model"
python runs/new_domain.py "${DEFAULT:-models/default}" "$out/default" "$data" --domains microblog
say "old experts with the rows joined"
python runs/joined_rows.py "$mixture" "$out" news="$out/rows/news" forum="$out/rows/forum" --data "$data"
python runs/new_domain_table.py "$out" "$out/new_domain" > "$out/new_domain.md"
say "done: $out/new_domain.md"
