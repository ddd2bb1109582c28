#!/usr/bin/env bash
# The default model beside everything a user would otherwise pick, on the team's real data: all baselines but chat models,
# three seeds of what draws at random. Rows are dev rows that no model was trained on; settings are chosen on a twentieth of
# the training rows. Stopped at any moment, the same command goes on with the next cell.
# usage: runs/compare.sh [DATA_DIR] [OUT_DIR]   settings: SEEDS="13,21,42"  MODELS="SPEC …" (others than those below)
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
out=${2:-work/compare}
export PATH="$PWD/.venv/bin:$PATH"
[ -d "$data" ] || { echo "runs/compare.sh: $data: no such folder; name the folder that holds news/ and forum/" >&2; exit 2; }
models=(
  finsa "finsa?gate=soft" "finsa?run=oracle" "finsa?run=news" "finsa?run=forum"
  majority lexicon tfidf-lr tfidf-svm "tfidf-svm?per=domain" fasttext textcnn bilstm
  "finetune:models/pretrained?epochs=3&bf16=true" "lora:models/default/backbone?epochs=3&learning_rate=5e-4&dropout=0&bf16=true"
)
[ -z "${MODELS:-}" ] || read -r -a models <<< "$MODELS"
asked=()
for model in "${models[@]}"; do asked+=(--model "$model"); done
# one line so that the report repeats it whole
exec finsa compare "${asked[@]}" --seeds "${SEEDS:-13,21,42}" --out "$out" --protocol finsa \
  --train "news=$data/news/train.csv" --train "forum/boards=$data/forum/train.csv" \
  --train "forum/investors=$data/forum/train_investors.csv" --train "forum/finfe=$data/forum/extra_finfe.csv" \
  --test "news=$data/news/dev.csv" --test "forum/boards=$data/forum/dev.csv" \
  --test "forum/investors=$data/forum/dev_investors.csv" --test "forum/finfe=$data/forum/dev_finfe.csv"
