# For the scripts of this folder to source: what more than one of them says and does.

needs() { # needs FOLDER WORDS : ends the run where there is no such folder, with what to do
  [ -d "$1" ] || { echo "runs/${0##*/}: $1: no such folder; $2" >&2; exit 2; }
}

say() { echo "[$(date +%H:%M:%S)] $*"; }

made_of() { python runs/made_of.py "$@"; } # made_of OUTPUT WORD… : ends the run where OUTPUT stands and is of other WORDs

expert_rows() { # expert_rows OUT WORD… : rows to learn from and to judge by (runs/expert_rows.py), unless they stand
  made_of "$@"
  [ -f "$1/valid.csv" ] || python runs/expert_rows.py "$@"
}

probing=(--hold-out runs/written/held_news.csv --hold-out runs/written/held_forum.csv) # sentences of our own that judge
phrases() { # phrases OUT : bare phrases of our own (runs/phrases.py), but those near to what judges; setting: PHRASES=so many (all)
  made_of "$1" "PHRASES=${PHRASES:-}" runs/phrases/words.yaml runs/phrases.py "${probing[@]}"
  [ -f "$1" ] || python runs/phrases.py "$1" ${PHRASES:+--rows "$PHRASES"} "${probing[@]}"
}
figures() { # figures OUT : short lines whose figures decide (runs/figures.py), likewise; setting: FIGURES=so many
  made_of "$1" "FIGURES=${FIGURES:-18000}" runs/figures/words.yaml runs/{figures,skills}.py "${probing[@]}"
  [ -f "$1" ] || python runs/figures.py "$1" --rows "${FIGURES:-18000}" "${probing[@]}"
}

mixture() { # mixture OUT BACKBONE ROWS CONFIG: experts of news and forum, merged, trained jointly; makes OUT/joint/moe_joint
  local out=$1 backbone=$2 rows=$3 config=$4 domain
  made_of "$out/experts" "$backbone" "$rows" "$config:expert"
  for domain in news forum; do
    say "expert $domain"
    [ -f "$out/experts/$domain/expert.json" ] ||
      finsa train-expert $domain "$rows/$domain" --out "$out/experts/$domain" --backbone "$backbone" \
        --config "$config" --resume
  done
  say "merge and joint training"
  made_of "$out/moe_init" "$out/experts" "$config:merge"
  [ -f "$out/moe_init/config.json" ] ||
    finsa merge --expert news="$out/experts/news" --expert forum="$out/experts/forum" --out "$out/moe_init" \
      --config "$config"
  made_of "$out/joint" "$out/moe_init" "$rows" "$config:joint"
  [ -f "$out/joint/moe_joint/metrics.json" ] ||
    finsa train-joint "$out/moe_init" --data news="$rows/news" --data forum="$rows/forum" --out "$out/joint" \
      --config "$config" --resume
}
