#!/usr/bin/env bash
# A finished mixture gets tables of n-grams beside its experts and its router, fitted on every labelled row there is and
# on the sentences written for training, of whose irony they would else read the words alone; calibration, export. The
# network is not trained: the last stages of runs/default_model.sh, and all that new labels for a mixture ask for.
# runs/read_on.sh ends with it; MIXTURE=models/default gives what ships new tables.
# Each stage is skipped when done; stopped at any moment, the same command goes on where it was.
# usage: MIXTURE=FOLDER runs/tables.sh [DATA_DIR] [OUT_DIR]   settings: BIN as there; POSTS_WEIGHT=1.5, what the table counts beside the logits of posts
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
out=${2:-work/default}
mixture=${MIXTURE:-models/default}
export PATH="${BIN:-$PWD/.venv/bin}:$PATH"
source runs/stages.sh
needs "$data" "name the folder that holds news/ and forum/"
needs "$mixture" "MIXTURE names a finished one"
mkdir -p "$out"
source runs/default_rows.sh

from=${FROM:-$mixture} # what it went on from, where runs/read_on.sh let it
if [ "$from" != "$out/kept" ]; then # it was made elsewhere: how it came to be, for the card
  made_of "$out/before.json" "$from"
  [ -f "$out/before.json" ] || cp src/finsa_moe/assets/default/card.json "$out/before.json"
fi
unseen=() # headlines to judge the router by: it must not have met them
[ ! -f "$data/news/extra_xmu_binary.csv" ] || unseen=(--hold-out "$data/news/extra_xmu_binary.csv")
phrases "$out/phrases.csv" # for the router: what is short is not posts' for that
figures "$out/figures.csv" # among news' rows
rows_of() { # rows_of DOMAIN FOLDER… LATER READINGS… : to learn from, and the dev files, on which temperatures are fitted
  local domain=$1 words=() word own=()
  shift
  for word in "$@"; do
    if [ -d "$word" ]; then
      words+=("$word")
    elif told "$word.csv"; then
      words+=(--more "$word.csv")
    fi
  done
  for word in "$data/$domain"/dev*.csv; do words+=(--judge "$word" --valid-of "$word"); done
  expert_rows "$out/table_rows/$domain" "${words[@]}" "${held[@]}" ${unseen[@]+"${unseen[@]}"}
  # tables learn the written sentences too; the graphs' ranges and what is known of texts come of real rows alone
  [ "$domain" != news ] || own=(--more "$out/figures.csv")
  expert_rows "$out/table_learnt/$domain" "$out/table_rows/$domain" --more "runs/written/$domain.csv" \
    ${own[@]+"${own[@]}"} --hold-out "runs/written/held_$domain.csv" "${held[@]}" ${unseen[@]+"${unseen[@]}"}
}
posts=("$out/data/boards" "$out/data/investors")
[ ! -d "$out/data/finfe" ] || posts+=("$out/data/finfe")
rows_of news "$out/data/news" "$out/fresh/news" "$out/fresh/other"
rows_of forum "${posts[@]}" "$out/fresh/boards" "$out/fresh/investors"

say "tables of n-grams"
weight=${POSTS_WEIGHT:-1.5} # the network reads posts, irony above all, less well than their words do
made_of "$out/moe" "$mixture" "$out/table_learnt" "$out/phrases.csv" "POSTS_WEIGHT=$weight"
[ -f "$out/moe/config.json" ] ||
  python runs/tables.py "$mixture" "$out/moe" news="$out/table_learnt/news" forum="$out/table_learnt/forum" \
    --router news="$out/phrases.csv" --weight forum="$weight"

say "export"
graphs=() # of what ships, where its network is the one that gets new tables
[ "$mixture" != models/default ] || graphs=(--graphs src/finsa_moe/assets/default)
background=("$data"/unlabelled/general{,2}.txt.xz)
made_of "$out/runtime" "$out/moe" "$out/table_rows" "${background[@]}"
[ -f "$out/runtime/config.json" ] ||
  finsa export "$out/moe" --data news="$out/table_rows/news" --data forum="$out/table_rows/forum" --out "$out/runtime" \
    ${graphs[@]+"${graphs[@]}"} \
    --background "${background[0]}" --background "${background[1]}"
say "done: $out/runtime"
