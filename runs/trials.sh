#!/usr/bin/env bash
# Four choices tried small, each arm over three seeds on the dev files (EXPERIMENTS.md says what came of them):
#   consensus   FinFE's rows all, or those alone whose label its second release repeats
#   curricula   the pre-trained backbone as it is, or read on for some minutes: texts of the tasks, general text; further
#               labelled sets not at all, before the tasks, or beside them
#   vocabulary  backbones from nothing, an equal number of minutes each, with few, the default and many pieces
#   prompts     experts with the text alone, or with an instruction around it
# Lines to read on are taken as they come: those of DATA have been cleared of dev texts (docs/data.md).
# A finished arm is a line of OUT/TRIAL.txt and is not run again; of other files or settings the run ends and says so.
# usage: runs/trials.sh TRIAL [OUT] [DATA]
# settings: SEEDS="13 21 42"  ARMS="all sure" (some of a trial's)  BACKBONE=models/pretrained
#           MINUTES=5 (of pre-training; vocabulary twice as many)
set -euo pipefail
cd "$(dirname "$0")/.."
trial=${1:?name a trial: consensus, curricula, vocabulary or prompts}
out=${2:-work/trials}
data=${3:-../shared/data}
seeds=${SEEDS:-13 21 42}
backbone=${BACKBONE:-models/pretrained}
minutes=${MINUTES:-5}
config=runs/default_model.yaml
export PATH="$PWD/.venv/bin:$PATH"
of=() # what a trial's arms are made of, beside the files of DATA
case $trial in
  consensus) arms=${ARMS:-all sure} of=("$backbone" $config:adapt) ;;
  curricula)
    arms=${ARMS:-tasks read_tasks read_general extra_first extra_beside}
    of=("$backbone" "MINUTES=$minutes" $config:pretrain $config:adapt "$data"/unlabelled/general{,2}.txt.xz)
    ;;
  vocabulary)
    arms=${ARMS:-6000 12000 24000}
    of=("MINUTES=$minutes" $config:pretrain $config:adapt "$data"/unlabelled/{finance,finance2,forum}.txt.xz)
    ;;
  prompts) arms=${ARMS:-none neutral} of=("$backbone" $config:expert $config:merge) ;;
  *) echo "runs/trials.sh: no trial $trial; name consensus, curricula, vocabulary or prompts" >&2; exit 2 ;;
esac
source runs/stages.sh
needs "$data" "name the folder that holds news/ and forum/"
mkdir -p "$out"
found=$out/$trial.txt
for made in "$found" "$out/$trial"; do made_of "$made" "${of[@]}" "$data"/{news,forum,other}; done
touch "$found"
held=()
for file in "$data"/*/dev*.csv; do held+=(--hold-out "$file"); done

adapted() { # adapted FOLDER FROM SEED TASK… : a backbone trained on tasks, one epoch
  local folder=$1 from=$2 seed=$3
  shift 3
  [ -f "$folder/adapt.json" ] ||
    finsa adapt "$from" --out "$folder" --config $config --set seed="$seed" --set learning_rate=3e-4 --set epochs=1 \
      --resume "$@" "${held[@]}"
}

heads() { # heads ARM SEED FOLDER FILE:TASK… : macro-F1 of each file by that head, as one line
  local arm=$1 seed=$2 folder=$3 line="$1 $2" pair
  shift 3
  for pair in "$@"; do
    line+=" ${pair%%:*}=$(python runs/teach.py "$data/${pair%%:*}.csv" --ask "$folder:${pair#*:}" | awk 'NR == 1 {print $1}')"
  done
  echo "$line" >>"$found"
}

tasks=(--task news="$data/news/train.csv" --task boards="$data/forum/train.csv" --task investors="$data/forum/train_investors.csv")
extra=(--task cfsc="$data/news/extra_cfsc.csv" --task xmu="$data/news/extra_xmu_binary.csv"
  --task announcements="$data/other/announcement_weak_binary.csv")
judged=(news/dev:news forum/dev:boards forum/dev_investors:investors)

read_on() { # read_on FOLDER FILE : the backbone after some minutes more of masked words
  [ -f "$1/pretrain.json" ] ||
    finsa pretrain "$2" --out "$1" --config $config --init "$backbone" --resume --set max_minutes="$minutes"
}

lines() { # lines FILE EACH TEXTS… : a file of every EACH-th text
  made_of "$@"
  [ -f "$1" ] || python -c 'import sys
from itertools import chain, islice
from pathlib import Path
from finsa_moe.data.lines import normalised_lines
from finsa_moe.data.reading.read import read_texts
from finsa_moe.files import write
target, each, *sources = sys.argv[1:]
found = chain(*(read_texts([file]) if file.suffix == ".csv" else normalised_lines([file]) for file in map(Path, sources)))
write(Path(target), "".join(" ".join(text.split()) + "\n" for text in islice(found, 0, None, int(each))))' "$@"
}

consensus() { # consensus ARM SEED FOLDER
  local rows=$data/forum/extra_finfe.csv sure=$out/finfe_sure.csv
  made_of "$sure" "$rows"
  [ -f "$sure" ] || python -c 'import sys, pathlib, polars
from finsa_moe.files import write
write(pathlib.Path(sys.argv[2]), polars.read_csv(sys.argv[1]).filter("consensus").write_csv())' "$rows" "$sure"
  [ "$1" = all ] || rows=$sure
  adapted "$3" "$backbone" "$2" --task boards="$data/forum/train.csv" --task finfe="$rows"
  heads "$1" "$2" "$3" forum/dev_finfe:finfe forum/dev:boards
}

curricula() { # curricula ARM SEED FOLDER
  local from=$backbone more=() read=$out/curricula/$1
  case $1 in
    read_tasks)
      lines "$out/task_texts.txt" 1 "$data"/{news/train,forum/train,forum/train_investors}.csv
      read_on "$read" "$out/task_texts.txt"
      from=$read
      ;;
    read_general)
      lines "$out/general.txt" 10 "$data"/unlabelled/general{,2}.txt.xz
      read_on "$read" "$out/general.txt"
      from=$read
      ;;
    extra_first)
      adapted "$3.extra" "$backbone" "$2" "${extra[@]}"
      from=$3.extra
      ;;
    extra_beside) more=("${extra[@]}") ;;
  esac
  adapted "$3" "$from" "$2" "${tasks[@]}" ${more[@]+"${more[@]}"}
  heads "$1" "$2" "$3" "${judged[@]}"
}

vocabulary() { # vocabulary ARM SEED FOLDER
  local read=$out/vocabulary/$1
  lines "$out/finance.txt" 10 "$data"/unlabelled/{finance,finance2,forum}.txt.xz
  [ -f "$read/pretrain.json" ] ||
    finsa pretrain "$out/finance.txt" --out "$read" --config $config --resume --set max_minutes=$((2 * minutes)) \
      --set vocab_size="$1"
  adapted "$3" "$read" "$2" "${tasks[@]}"
  heads "$1" "$2" "$3" "${judged[@]}"
}

prompts() { # prompts ARM SEED FOLDER
  local domain experts=() json line="$1 $2"
  for domain in news forum; do
    made_of "$out/rows/$domain" "$data/$domain/train.csv" "${held[@]}"
    [ -f "$out/rows/$domain/report.json" ] ||
      finsa prepare "$data/$domain/train.csv" --domain $domain --out "$out/rows/$domain" --ratios 95/5/0 "${held[@]}"
    [ -f "$3/$domain/expert.json" ] ||
      finsa train-expert $domain "$out/rows/$domain" --out "$3/$domain" --backbone "$backbone" --config $config \
        --set learning_rate=1e-3 --set epochs=1 --set max_steps=-1 --set prompt="$1" --set seed="$2" --resume
    experts+=(--expert $domain="$3/$domain")
  done
  [ -f "$3/moe/config.json" ] || finsa merge "${experts[@]}" --out "$3/moe" --config $config
  for domain in news forum; do
    json=$3/$domain.json
    finsa evaluate "$3/moe" "$data/$domain/dev.csv" --domain $domain --protocol finsa --json "$json" >/dev/null
    line+=" $domain/dev=$(python -c 'import json, sys
print(round(100 * json.load(open(sys.argv[1]))["runs"]["given"]["all"]["macro_f1"], 1))' "$json")"
  done
  echo "$line" >>"$found"
}

for seed in $seeds; do
  for arm in $arms; do
    grep -q "^$arm $seed " "$found" && continue
    say "$trial: $arm, seed $seed"
    $trial "$arm" "$seed" "$out/$trial/$seed/$arm"
  done
done
cat "$found"
