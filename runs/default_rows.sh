# What the model learns from, for the scripts of this folder to source: `data` and `out` are set, `stages.sh` is sourced.
# Makes OUT/readings, OUT/data/{news,boards,investors,finfe} and OUT/fresh; whatever is equal or near to a text to judge by
# is dropped. Sets `dev` (options that hold the dev files out), `held` (and with them the readings that judge the model,
# OUT/fresh/*.valid.csv), `finfe` (what the posts' expert learns of FinFE, if it is there) and fresh_news, fresh_boards,
# fresh_investors (options of expert_rows.py: readings that no student has learnt, to go on with and to judge by; empty where
# DATA has none of their texts), `unlabelled` (files of texts). Ends the run where what stands was made of other files of
# DATA or READINGS. setting: READINGS=folder of readings, with fresh/ in it

readings=${READINGS:-runs/readings}
dev=()
for file in "$data"/*/dev*.csv; do dev+=(--hold-out "$file"); done

unlabelled=("$data"/unlabelled/{finance,finance2,forum}.txt.xz)

read_texts() { # read_texts OUT READINGS LAST : those of DATA that these readings label; LAST is the file written last
  made_of "$1" "$2"/*.csv "$data"/{news,forum,other} "${unlabelled[@]}"
  [ -f "$1/$3.csv" ] || python runs/readings.py "$data" "$1" "$2"
}

rows() { # rows DOMAIN NAME SRC… : a prepared folder of them
  local domain=$1 name=$2
  shift 2
  made_of "$out/data/$name" "$@" "${held[@]}"
  [ -f "$out/data/$name/report.json" ] ||
    finsa prepare "$@" --domain "$domain" --out "$out/data/$name" --ratios 95/5/0 "${held[@]}"
}

told() { [ "$(wc -l <"$1")" -gt 1 ]; } # a file of readings is but a header where DATA has none of its texts

say "rows"
# further labels under the same rubric
read_texts "$out/readings" "$readings" news
read_texts "$out/fresh" "$readings/fresh" other.valid
held=("${dev[@]}")
for file in "$out"/fresh/*.valid.csv; do
  ! told "$file" || held+=(--hold-out "$file")
done
flashes=("$data/news/train.csv") boards=("$data/forum/train.csv") investors=("$data/forum/train_investors.csv")
! told "$out/readings/news.csv" || flashes+=("$out/readings/news.csv")
! told "$out/readings/boards.csv" || boards+=("$out/readings/boards.csv")
! told "$out/readings/investors.csv" || investors+=("$out/readings/investors.csv")
rows news news "${flashes[@]}"
rows forum boards "${boards[@]}"
rows forum investors "${investors[@]}"
finfe=()
if [ -f "$data/forum/extra_finfe.csv" ]; then # other guidelines: a task of its own, and the posts' expert learns both labels
  rows forum finfe "$data/forum/extra_finfe.csv" --hold-out "$data/forum/train.csv" --hold-out "$data/forum/train_investors.csv"
  finfe=(--more "$out/data/finfe/train.csv" --valid-of "$data/forum/extra_finfe.csv")
fi
fresh_news=() fresh_boards=() fresh_investors=()
fresh() { # fresh ARRAY NAME… : adds the words for expert_rows.py that name these readings
  local -n words=$1
  local file
  for file in "${@:2}"; do
    file=$out/fresh/$file
    words+=(--more "$file.csv" --judge "$file.valid.csv" --valid-of "$file.valid.csv")
  done
}
if told "$out/fresh/news.valid.csv"; then
  fresh fresh_news news other
  fresh fresh_boards boards
  fresh fresh_investors investors
fi
