# For the scripts of this folder to source: what more than one of them says and does.

say() { echo "[$(date +%H:%M:%S)] $*"; }

mixture() { # mixture OUT BACKBONE ROWS CONFIG: experts of news and forum, merged, trained jointly; makes OUT/joint/moe_joint
  local out=$1 backbone=$2 rows=$3 config=$4 domain
  for domain in news forum; do
    say "expert $domain"
    [ -f "$out/experts/$domain/expert.json" ] ||
      finsa train-expert $domain "$rows/$domain" --out "$out/experts/$domain" --backbone "$backbone" \
        --config "$config" --resume
  done
  say "merge and joint training"
  [ -f "$out/moe_init/config.json" ] ||
    finsa merge --expert news="$out/experts/news" --expert forum="$out/experts/forum" --out "$out/moe_init" \
      --config "$config"
  [ -f "$out/joint/moe_joint/metrics.json" ] ||
    finsa train-joint "$out/moe_init" --data news="$rows/news" --data forum="$rows/forum" --out "$out/joint" \
      --config "$config" --resume
}
