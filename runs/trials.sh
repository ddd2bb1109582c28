#!/usr/bin/env bash
# Four choices tried small, each arm over three seeds on the dev files (EXPERIMENTS.md says what came of them):
#   consensus   FinFE's rows all, or those alone whose label its second release repeats
#   curricula   the pre-trained backbone as it is, or read on for some minutes: texts of the tasks, general text; further
#               labelled sets not at all, before the tasks, or beside them
#   vocabulary  backbones from nothing, an equal number of minutes each, with few, the default and many pieces
#   prompts     experts with the text alone, or with an instruction around it
# Lines to read on are taken as they come: those of DATA have been cleared of dev texts (docs/data.md).
# A finished arm is a line of OUT/TRIAL.txt and is not run again.
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
[ -d "$data" ] || { echo "runs/trials.sh: $data: no such folder; name the folder that holds news/ and forum/" >&2; exit 2; }
mkdir -p "$out"
source runs/stages.sh
found=$out/$trial.txt
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

read_on() { # read_on FOLDER MINUTES FILE… : the backbone after some minutes more of masked words
  local folder=$1 time=$2
  shift 2
  [ -f "$folder/pretrain.json" ] ||
    finsa pretrain "$@" --out "$folder" --config $config --init "$backbone" --resume --set max_minutes="$time"
}

tenth() { # tenth FILE TEXTS… : every tenth line, as many as some minutes can read
  [ -f "$1" ] || python -c 'import sys
from itertools import islice
from pathlib import Path
from finsa_moe.data.lines import read_lines
from finsa_moe.files import write
kept = islice(read_lines(map(Path, sys.argv[2:])), 0, None, 10)
write(Path(sys.argv[1]), "".join(f"{line}\n" for line in kept))' "$@"
}

done_already() { grep -q "^$1 $2 " "$found"; }

for seed in $seeds; do
  at=$out/$trial/$seed
  case $trial in
    consensus)
      sure=$out/finfe_sure.csv
      [ -f "$sure" ] || python -c 'import sys, polars
polars.read_csv(sys.argv[1]).filter("consensus").write_csv(sys.argv[2])' "$data/forum/extra_finfe.csv" "$sure"
      for arm in ${ARMS:-all sure}; do
        done_already $arm "$seed" && continue
        say "$trial: $arm, seed $seed"
        rows=$data/forum/extra_finfe.csv
        [ $arm = all ] || rows=$sure
        adapted "$at/$arm" "$backbone" "$seed" --task boards="$data/forum/train.csv" --task finfe="$rows"
        heads $arm "$seed" "$at/$arm" forum/dev_finfe:finfe forum/dev:boards
      done
      ;;
    curricula)
      texts=$out/task_texts.txt
      [ -f "$texts" ] || python -c 'import sys, polars
texts = [text for file in sys.argv[2:] for text in polars.read_csv(file)["text"]]
open(sys.argv[1], "w", encoding="utf-8").write("".join(" ".join(text.split()) + "\n" for text in texts))' \
        "$texts" "$data"/{news/train,forum/train,forum/train_investors}.csv
      for arm in ${ARMS:-tasks read_tasks read_general extra_first extra_beside}; do
        done_already $arm "$seed" && continue
        say "$trial: $arm, seed $seed"
        from=$backbone more=()
        case $arm in
          read_tasks) read_on "$out/$trial/$arm" "$minutes" "$texts"; from=$out/$trial/$arm ;;
          read_general)
            tenth "$out/general.txt" "$data"/unlabelled/general{,2}.txt.xz
            read_on "$out/$trial/$arm" "$minutes" "$out/general.txt"
            from=$out/$trial/$arm
            ;;
          extra_first) adapted "$at/extra" "$backbone" "$seed" "${extra[@]}"; from=$at/extra ;;
          extra_beside) more=("${extra[@]}") ;;
        esac
        adapted "$at/$arm" "$from" "$seed" "${tasks[@]}" ${more[@]+"${more[@]}"}
        heads $arm "$seed" "$at/$arm" "${judged[@]}"
      done
      ;;
    vocabulary)
      tenth "$out/finance.txt" "$data"/unlabelled/{finance,finance2,forum}.txt.xz
      for arm in ${ARMS:-6000 12000 24000}; do
        done_already $arm "$seed" && continue
        say "$trial: $arm, seed $seed"
        [ -f "$out/$trial/$arm/pretrain.json" ] ||
          finsa pretrain "$out/finance.txt" --out "$out/$trial/$arm" --config $config --resume \
            --set max_minutes=$((2 * minutes)) --set vocab_size=$arm
        adapted "$at/$arm" "$out/$trial/$arm" "$seed" "${tasks[@]}"
        heads $arm "$seed" "$at/$arm" "${judged[@]}"
      done
      ;;
    prompts)
      for pair in news:news/train forum:forum/train; do
        [ -f "$out/rows/${pair%:*}/report.json" ] ||
          finsa prepare "$data/${pair#*:}.csv" --domain "${pair%:*}" --out "$out/rows/${pair%:*}" --ratios 95/5/0 "${held[@]}"
      done
      for arm in ${ARMS:-none neutral}; do
        done_already $arm "$seed" && continue
        say "$trial: $arm, seed $seed"
        experts=()
        for domain in news forum; do
          [ -f "$at/$arm/$domain/expert.json" ] ||
            finsa train-expert $domain "$out/rows/$domain" --out "$at/$arm/$domain" --backbone "$backbone" --config $config \
              --set learning_rate=1e-3 --set epochs=1 --set max_steps=-1 --set prompt=$arm --set seed="$seed" --resume
          experts+=(--expert $domain="$at/$arm/$domain")
        done
        [ -f "$at/$arm/moe/config.json" ] || finsa merge "${experts[@]}" --out "$at/$arm/moe" --config $config
        line="$arm $seed"
        for pair in news:news/dev forum:forum/dev; do
          json=$at/$arm/${pair%:*}.json
          finsa evaluate "$at/$arm/moe" "$data/${pair#*:}.csv" --domain "${pair%:*}" --protocol finsa --json "$json" >/dev/null
          line+=" ${pair#*:}=$(python -c 'import json, sys
print(round(100 * json.load(open(sys.argv[1]))["runs"]["given"]["all"]["macro_f1"], 1))' "$json")"
        done
        echo "$line" >>"$found"
      done
      ;;
    *) echo "runs/trials.sh: no trial $trial; name consensus, curricula, vocabulary or prompts" >&2; exit 2 ;;
  esac
done
cat "$found"
