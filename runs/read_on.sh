#!/usr/bin/env bash
# News' expert of a finished mixture reads on: bare phrases (runs/phrases.py), lines whose figures decide
# (runs/figures.py) and the written sentences, among labelled rows enough that it unlearns none, those that name companies
# under other names as well; then runs/tables.sh. The posts' expert and the router stay as they are: a posts' expert that
# read on lost on investors' posts and FinFE what it gained elsewhere (EXPERIMENTS.md).
# runs/default_model.sh ends with it; MIXTURE=models/default lets what ships read on.
# Each stage is skipped when done; stopped at any moment, the same command goes on where it was.
# usage: MIXTURE=FOLDER runs/read_on.sh [DATA_DIR] [OUT_DIR]   settings: BIN as there; READ_ON=file (runs/read_on.yaml)
#        ON_SEEDS=13 (by commas; of several the mean is kept)
#        ON=22000 labelled rows beside the written sentences, PHRASES=so many (all), FIGURES=so many (18000); those of
#        runs/tables.sh
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
out=${2:-work/default}
mixture=${MIXTURE:-models/default}
config=${READ_ON:-runs/read_on.yaml}
seeds=${ON_SEEDS:-13}
export PATH="${BIN:-$PWD/.venv/bin}:$PATH"
source runs/stages.sh
needs "$data" "name the folder that holds news/ and forum/"
needs "$mixture" "MIXTURE names a finished one"
mkdir -p "$out"
source runs/default_rows.sh

say "news' expert reads on"
phrases "$out/phrases.csv"
figures "$out/figures.csv"
later=()
for name in news other; do
  ! told "$out/fresh/$name.csv" || later+=(--more "$out/fresh/$name.csv")
done
expert_rows "$out/on/all" "$out/data/news" ${later[@]+"${later[@]}"} "${held[@]}"
expert_rows "$out/on/news" "$out/on/all:${ON:-22000}" --more runs/written/news.csv --more "$out/phrases.csv" \
  --more "$out/figures.csv" --companies "${probing[@]}" "${held[@]}"
made_of "$out/read" "$mixture" "$out/on/news" "$config:expert" "ON_SEEDS=$seeds"
[ -f "$out/read/config.json" ] ||
  python runs/read_on.py "$mixture" "$out/read" news "$out/on/news" --config "$config" --seeds "$seeds"

MIXTURE="$out/read" FROM="$mixture" bash runs/tables.sh "$data" "$out"
