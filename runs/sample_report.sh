#!/usr/bin/env bash
# The whole report of a comparison on the packaged sample, whose texts may be shown: learning curves, each expert on each test
# set, and the surest wrong answers with the words that led to them. Needs what `make demo` makes: the prepared sample and a
# mixture trained on its rows. A thousand rows written to learn the tool on are no measure of a model; runs/compare.sh is.
# usage: runs/sample_report.sh [OUT_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
[ -d demo/model/moe_joint ] || { echo "runs/sample_report.sh: demo/model/moe_joint: no such folder; run: make demo" >&2; exit 2; }
finsa compare --model "mixture=finsa:demo/model/moe_joint" --model "as installed=finsa" \
  --model "one LoRA=lora:demo/backbone?epochs=10&learning_rate=5e-4" --model tfidf-lr --model tfidf-svm --model fasttext \
  --model lexicon --seeds 13,21,42 --curves --matrix --protocol finsa \
  --train news=demo/data/news/train.csv --train forum=demo/data/forum/train.csv \
  --dev news=demo/data/news/valid.csv --dev forum=demo/data/forum/valid.csv \
  --test news=demo/data/news/test.csv --test forum=demo/data/forum/test.csv --out "${1:-work/sample_report}"
