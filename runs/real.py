"""Last step of `runs/real.sh`: the trained mixture on the dev files, beside TF-IDF trained on the same rows."""

from __future__ import annotations

import sys
from pathlib import Path

from outcome import show


def main() -> None:
    """Evaluate ``OUT/joint/moe_joint`` on ``DATA/<domain>/dev.csv``."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    splits = {
        domain: {
            "train": out / "data" / domain / "train.csv",
            "valid": out / "data" / domain / "valid.csv",
            "test": data / domain / "dev.csv",
        }
        for domain in ("news", "forum")
    }
    show(out / "joint" / "moe_joint", splits, out, title="FinSA-MoE on real data",
         subtitle="trained on train.csv, measured on dev.csv of both domains")  # fmt: skip


if __name__ == "__main__":
    main()
