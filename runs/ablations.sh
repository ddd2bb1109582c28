#!/usr/bin/env bash
# One knob of the method turned at a time: routing and balance weight, warm-up, route, rank, loss, experts against one LoRA.
# Full training rows of news and boards, three seeds a point; stopped at any moment, the same command goes on by the cell,
# and ends and says so where OUT_DIR is of other training files of DATA_DIR.
# usage: runs/ablations.sh [OUT_DIR] [DATA_DIR] [further options of runs/ablations.py]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-work/ablations}
data=${2:-../shared/data}
shift $(($# < 2 ? $# : 2))
export PATH="$PWD/.venv/bin:$PATH"
[ -d "$data" ] || { echo "runs/ablations.sh: $data: no such folder; name the folder that holds news/ and forum/" >&2; exit 2; }
exec python runs/ablations.py "$out" "$data" "$@"
