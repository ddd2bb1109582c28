#!/usr/bin/env bash
# The default model from raw text to its folder of graphs: a backbone; teachers, each the backbone trained on labels; their
# mean answer to unlabelled text; a student, the last teacher trained on tasks and answers; experts, which start from the
# student's heads, and mixtures on it; their mean; then runs/read_on.sh: news' expert reads on; tables of n-grams, calibration, export. Whatever is
# equal or near to a dev text is dropped before anything learns from it. What ships is a last pass (LAST="13 21", BESIDE the
# one before it) on the student of a second round, whose BACKBONE was the first one's student.
# A first round wants more: runs/default_model.yaml.
# Each stage is skipped when done; stopped at any moment, the same command goes on where it was. Where what is done was made by
# other settings or of other files, the run ends and says so (runs/made_of.py).
# usage: runs/default_model.sh [DATA_DIR] [OUT_DIR]
# settings: CONFIG=file  BIN=.venv/bin (whose finsa and python)  START=backbone (or none)
#           TEACHERS="21 13", STUDENTS="13" (their seeds; students go on from the last teacher)  POOL=rows a kind  NEWS, POSTS=rows of a source that experts go on with
#           SEEDS="13" (of experts and mixtures, whose mean is the model)  SHARE=0.3 of an expert's way that is kept
#           MORE_NEWS, MORE_BOARDS, MORE_INVESTORS="FOLDER:TASK …" (further teachers: an earlier round's
#           students, whose pool of SKIP rows is then left out)
#           BACKBONE=folder to start teachers from as it is, without pre-training (an earlier round's student); put its
#           pretrain.json into OUT_DIR/backbone, and its adapt.json in a list as OUT_DIR/earlier.json, for the card
#           STUDENT=folder to go on from instead of teachers and students, with the heads of its tasks (without LAST
#           news-answers among them)
#           LAST="13 21" (seeds) passes over the known rows, readings that no student has learnt (runs/readings/fresh) and
#           the written sentences; experts start from their mean
#           BESIDE=folder of an earlier run's passes of that student (their mean), which this mean takes in as one pass more
#           COMPANIES=1: in a last pass and its experts' rows, those that name companies stand under other names as well
#           UNTIL=backbone|answers|last ends there: a GPU may make the answers of larger teachers (runs/teacher_gpu.yaml)
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
out=${2:-work/default}
config=${CONFIG:-runs/default_model.yaml}
teachers=${TEACHERS:-21 13}
students=${STUDENTS:-13}
seeds=${SEEDS:-13}
last=${LAST:-}
student=${STUDENT:-$out/student}
[ -z "${STUDENT:-}" ] || teachers='' students=''
pool=${POOL:-32000}
from=${START-models/pretrained}
export PATH="${BIN:-$PWD/.venv/bin}:$PATH"
source runs/stages.sh
needs "$data" "name the folder that holds news/ and forum/"
mkdir -p "$out"
ends_at() { if [ "${UNTIL:-}" = "$1" ]; then say "done: $out/$1"; exit 0; fi; }
backbone=${BACKBONE:-$out/backbone}
source runs/default_rows.sh
tasks=()
for name in news boards investors finfe; do
  [ -d "$out/data/$name" ] && tasks+=(--task "$name=$out/data/$name")
done
further_tasks=() # what only students learn: further guidelines' labels, and sentences that turn on one word
for name in news/extra_cfsc news/extra_xmu_binary other/announcement_weak_binary; do
  [ -f "$data/$name.csv" ] && further_tasks+=(--task "$(basename "${name#*/extra_}")=$data/$name.csv")
done
[ -f "$out/skills.forum.csv" ] || python runs/skills.py "$out/skills.news.csv" "$out/skills.forum.csv" --rows 3000
for domain in news forum; do
  further_tasks+=(--task "skills_$domain=$out/skills.$domain.csv" --task "written_$domain=runs/written/$domain.csv")
done
judge_news=(--valid-of "$data/news/train.csv")
judge_forum=(--valid-of "$data/forum/train.csv" --valid-of "$data/forum/train_investors.csv")
renamed=()
if [ -n "$last" ]; then
  [ "${COMPANIES:-}" != 1 ] || renamed=(--companies)
  [ ${#fresh_news[@]} -eq 0 ] ||
    judge_news=("${fresh_news[@]}") judge_forum=("${fresh_boards[@]}" "${fresh_investors[@]}")
fi
expert_rows "$out/rows/news" "$out/data/news:${NEWS:-9000}" --more runs/written/news.csv \
  "${judge_news[@]}" ${renamed[@]+"${renamed[@]}"} "${held[@]}"
expert_rows "$out/rows/forum" "$out/data/boards:${POSTS:-7000}" "$out/data/investors:${POSTS:-7000}" \
  --more runs/written/forum.csv "${judge_forum[@]}" ${finfe[@]+"${finfe[@]}"} ${renamed[@]+"${renamed[@]}"} "${held[@]}"

say "backbone"
start=()
[ -d "$from" ] && start=(--init "$from")
processes=$(python -c 'import os, torch; print(torch.cuda.device_count() or len(os.sched_getaffinity(0)))')
[ -n "${BACKBONE:-${STUDENT:-}}" ] ||
  made_of "$out/backbone" "$config:pretrain" "$from" "${unlabelled[@]}" "${held[@]}"
[ -n "${BACKBONE:-${STUDENT:-}}" ] || [ -f "$out/backbone/pretrain.json" ] ||
  OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node "$processes" --no-python finsa pretrain \
    "${unlabelled[@]}" "$data/unlabelled/forum.txt.xz" --out "$out/backbone" --config "$config" --resume \
    ${start[@]+"${start[@]}"} "${held[@]}"
ends_at backbone

ask=()
for teacher in $teachers; do
  say "teacher $teacher"
  made_of "$out/teachers/$teacher" "$backbone" "$config:adapt" "$out/data"
  [ -f "$out/teachers/$teacher/adapt.json" ] ||
    finsa adapt "$backbone" --out "$out/teachers/$teacher" --config "$config" --set seed="$teacher" --resume \
      "${tasks[@]}" "${held[@]}"
  ask+=("$out/teachers/$teacher")
done

say "the teachers read unlabelled text"
mkdir -p "$out/answers"
soft=() answered=()
for kind in news boards investors; do # each kind by its own head
  [ -z "${STUDENT:-}" ] || break
  texts="$out/answers/pool.$kind.csv" answers="$out/answers/$kind.csv" asked=()
  [ $kind != boards ] || [ -f "$data/forum/extra_stocksentcn.csv" ] || continue
  further=MORE_${kind^^}
  for teacher in ${!further:-}; do asked+=(--ask "$teacher"); done
  for teacher in "${ask[@]}"; do asked+=(--ask "$teacher:$kind"); done
  skip=${SKIP:-0}
  [ $kind != boards ] || skip=0 # all there are
  made_of "$texts" "POOL=$pool" "SKIP=$skip" "$data/forum" "${unlabelled[@]}"
  [ -f "$texts" ] || python runs/pool.py "$data" $kind "$pool" "$texts" "$skip"
  made_of "$answers" "$texts" "${asked[@]}"
  [ -f "$answers" ] || python runs/teach.py "$texts" "$answers" "${asked[@]}"
  soft+=(--soft "$kind-answers=$answers") answered+=("$answers")
done
ends_at answers

mixed=()
for seed in $students; do
  say "student $seed"
  made_of "$out/students/$seed" "${ask[-1]}" "${answered[@]}" "$out/data" "${further_tasks[@]#*=}" "$config:adapt"
  [ -f "$out/students/$seed/adapt.json" ] ||
    finsa adapt "${ask[-1]}" --out "$out/students/$seed" --config "$config" --set epochs=1 \
      --set seed="$seed" --resume "${tasks[@]}" "${further_tasks[@]}" "${soft[@]}" "${held[@]}"
  mixed+=("$out/students/$seed")
done
[ -n "${STUDENT:-}" ] || made_of "$out/student" "${mixed[@]}"
[ -n "${STUDENT:-}" ] || [ -f "$out/student/adapt.json" ] || python runs/soup.py "$out/student" "${mixed[@]}"

declare -A start_at=([news]="news news-answers" [forum]="boards investors") # tasks whose heads an expert starts from
[ ! -d "$out/data/finfe" ] || start_at[forum]+=" finfe"
if [ -n "${STUDENT:-}" ]; then # how it came to be, for the card
  made_of "$out/before.json" "$student"
  [ -f "$out/before.json" ] || cp src/finsa_moe/assets/default/card.json "$out/before.json"
  [ -z "$last" ] || python runs/card.py "$out" # ends where no card could tell of it
fi
if [ -n "$last" ]; then # more labels
  start_at[news]=news
  passed=()
  last_rows() { # last_rows KIND WORD… : the rows that students know, and readings they do not
    expert_rows "$out/last_rows/$1" "$out/data/$1" "${@:2}" ${renamed[@]+"${renamed[@]}"} "${held[@]}"
    passed+=(--task "$1=$out/last_rows/$1")
  }
  # written sentences are learnt by the sources' own heads, which answer in the end, and by heads of their own
  last_rows news --more runs/written/news.csv ${fresh_news[@]+"${fresh_news[@]}"}
  last_rows boards --more runs/written/forum.csv ${fresh_boards[@]+"${fresh_boards[@]}"}
  last_rows investors ${fresh_investors[@]+"${fresh_investors[@]}"}
  [ ! -d "$out/data/finfe" ] || last_rows finfe
  for domain in news forum; do passed+=(--task "written_$domain=runs/written/$domain.csv"); done
  mixed=()
  for seed in $last; do
    say "last pass, seed $seed"
    made_of "$out/passes/$seed" "$student" "${passed[@]#*=}" "$config:adapt"
    [ -f "$out/passes/$seed/adapt.json" ] ||
      finsa adapt "$student" --out "$out/passes/$seed" --config "$config" --set epochs=1 --set learning_rate=1.5e-4 \
        --set warmup_steps=50 --set seed="$seed" --resume "${passed[@]}" "${dev[@]}" # valid.csv is what judges it
    mixed+=("$out/passes/$seed")
  done
  [ -z "${BESIDE:-}" ] || mixed+=("$BESIDE")
  made_of "$out/last" "${mixed[@]}"
  [ -f "$out/last/adapt.json" ] || python runs/soup.py "$out/last" "${mixed[@]}"
  student=$out/last
fi
ends_at last

unseen=() # headlines to judge the router by: it must not have met them
[ -f "$data/news/extra_xmu_binary.csv" ] && unseen=(--hold-out "$data/news/extra_xmu_binary.csv")
made_of "$out/answers/pool.wire.csv" "${unlabelled[@]}"
made_of "$out/answers/pool.investors.csv" "POOL=$pool" "SKIP=${SKIP:-0}" "$data/forum" "${unlabelled[@]}"
[ -f "$out/answers/pool.wire.csv" ] || python runs/pool.py "$data" wire 20000 "$out/answers/pool.wire.csv"
[ -f "$out/answers/pool.investors.csv" ] ||
  python runs/pool.py "$data" investors "$pool" "$out/answers/pool.investors.csv" "${SKIP:-0}"
for pair in news:wire forum:investors; do # short sentences of our own beside them: length must not tell the router
  domain=${pair%:*} pooled=$out/answers/pool.${pair#*:}.csv
  joined=("$out/answers/router.$domain.csv" "$pooled" "$out/skills.$domain.csv" runs/written/$domain.csv)
  made_of "${joined[@]}"
  [ -f "${joined[0]}" ] || python runs/join_texts.py "${joined[@]}"
done
mixtures=()
for seed in $seeds; do
  of=$out/seeds/$seed
  for domain in news forum; do
    say "expert $domain, seed $seed"
    made_of "$of/experts/$domain" "$student" "$out/rows/$domain" "$config:expert"
    heads=()
    for task in ${start_at[$domain]}; do heads+=(--head "$task"); done
    [ -f "$of/experts/$domain/expert.json" ] ||
      finsa train-expert $domain "$out/rows/$domain" --out "$of/experts/$domain" --backbone "$student" \
        "${heads[@]}" --config "$config" --set seed="$seed" --resume
  done
  say "mixture, seed $seed"
  made_of "$of/moe_init" "$of/experts" "$config:merge"
  [ -f "$of/moe_init/config.json" ] ||
    finsa merge --expert news="$of/experts/news" --expert forum="$of/experts/forum" --out "$of/moe_init" --config "$config"
  made_of "$of/joint" "$of/moe_init" "$out/rows" "$out"/answers/router.{news,forum}.csv "$config:joint"
  [ -f "$of/joint/moe_joint/metrics.json" ] ||
    finsa train-joint "$of/moe_init" --data news="$out/rows/news" --data forum="$out/rows/forum" --out "$of/joint" \
      --config "$config" --set seed="$seed" --resume "${held[@]}" ${unseen[@]+"${unseen[@]}"} \
      --unlabelled news="$out/answers/router.news.csv" --unlabelled forum="$out/answers/router.forum.csv"
  mixtures+=("$of/joint/moe_joint")
done
made_of "$out/mean" "${mixtures[@]}"
[ -f "$out/mean/config.json" ] || python runs/soup_experts.py "$out/mean" "${mixtures[@]}"
learnt=() # an expert keeps a share of its way from the heads it started from
for domain in news forum; do learnt+=("$domain=${start_at[$domain]// /,}"); done
made_of "$out/kept" "$out/mean" "$student" "SHARE=${SHARE:-0.3}"
[ -f "$out/kept/config.json" ] || python runs/shrink_experts.py "$out/mean" "$out/kept" "${SHARE:-0.3}" "$student" "${learnt[@]}"

MIXTURE="$out/kept" bash runs/read_on.sh "$data" "$out"
