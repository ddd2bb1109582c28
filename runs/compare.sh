#!/usr/bin/env bash
# The default model beside everything a user would otherwise pick, on the team's real data: all baselines but chat models,
# three seeds of what draws at random. Rows are dev rows that no model was trained on; settings are chosen on a twentieth of
# the training rows, set aside by `finsa prepare`, which nothing trains on. What trains on one core runs beside what trains on
# the other; a model's answers are kept by the cell, so that the same command goes on after a stop; where OUT_DIR's rows are of
# other files of DATA_DIR it ends and says so. The report shows no text of the data; OUT_DIR/curves holds another one, what a
# part of the rows teaches. The last line is the wall time of this run.
# usage: runs/compare.sh [DATA_DIR] [OUT_DIR]   settings: SEEDS="13,21,42"
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
out=${2:-work/compare}
export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS=1
source runs/stages.sh
needs "$data" "name the folder that holds news/ and forum/"
held=()
for file in "$data"/*/dev*.csv; do held+=(--hold-out "$file"); done
rows() { # rows DOMAIN SRC… : 95 % of them to learn from, 5 % to choose by
  # A domain's files are split in one call, since posts of one stand in another and near texts must stay on one side; where
  # their guidelines label a text unlike, both rows stay, as who trains on the files as they are would meet them.
  local domain=$1
  shift
  made_of "$out/rows/$domain" "$@" "${held[@]}"
  [ -f "$out/rows/$domain/report.json" ] ||
    finsa prepare "$@" --domain "$domain" --out "$out/rows/$domain" --ratios 95/5/0 --conflicts keep --force "${held[@]}"
}
networks=(fasttext textcnn bilstm)
lora="one LoRA=lora:models/default/backbone?epochs=3&learning_rate=5e-4&dropout=0&bf16=true"
others=(
  finsa "finsa?gate=soft" majority lexicon tfidf-lr tfidf-svm "tfidf-svm?per=domain"
  "full fine-tuning=finetune:models/pretrained?epochs=3&bf16=true"
  "$lora"
)
compare() { # compare OUT MODEL… : these models, in one line so that the report repeats the command whole
  local asked=() to=$1
  shift
  for model in "$@"; do asked+=(--model "$model"); done
  finsa compare "${asked[@]}" --seeds "${SEEDS:-13,21,42}" --out "$to" --protocol finsa --examples 0 \
    --train "news=$out/rows/news/train.csv" --train "forum=$out/rows/forum/train.csv" \
    --dev "news=$out/rows/news/valid.csv" --dev "forum=$out/rows/forum/valid.csv" \
    --test "news=$data/news/dev.csv" --test "forum/boards=$data/forum/dev.csv" \
    --test "forum/investors=$data/forum/dev_investors.csv" --test "forum/finfe=$data/forum/dev_finfe.csv" "${more[@]}"
}
more=()
mkdir -p "$out"
rows news "$data/news/train.csv"
rows forum "$data/forum/train.csv" "$data/forum/train_investors.csv" "$data/forum/extra_finfe.csv"
compare "$out" "${networks[@]}" > "$out/networks.log" 2>&1 &
beside=$!
trap 'kill "$beside" 2>/dev/null || true' EXIT
compare "$out" "${others[@]}" > /dev/null
mkdir -p "$out/curves"
ln -sfn ../cells "$out/curves/cells" # who was trained on all rows is not trained on them again
more=(--curves)
compare "$out/curves" "$lora" tfidf-lr tfidf-svm fasttext > /dev/null
wait "$beside" || { tail -1 "$out/networks.log" >&2; exit 1; }
more=(--matrix)
compare "$out" "${others[@]}" "${networks[@]}"
printf 'whole run: %d h %02d min %02d s of wall time; what was kept from a run before took none of it\n' \
  $((SECONDS / 3600)) $((SECONDS / 60 % 60)) $((SECONDS % 60))
