"""The mean of several students' weights (Wortsman et al. 2022, "model soups"): one backbone, no slower than each.

``python runs/soup.py OUT STUDENT …``: folders that `finsa adapt` made from the same backbone with other seeds. Their
heads, which start from nothing and so do not lie in one valley, are left out: experts get their own.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


def soup(out: Path, students: list[Path]) -> None:
    """Write the mean as a backbone's folder, whole or not at all."""
    parts = [load_file(student / WEIGHTS) for student in students]
    if any(part.keys() != parts[0].keys() for part in parts):
        named = ", ".join(map(str, students))
        raise SystemExit(f"{named}: their weights have unlike names; name students of one backbone")
    mean = {
        name: torch.stack([part[name].float() for part in parts]).mean(0).to(parts[0][name].dtype).contiguous()
        for name in parts[0]
    }
    working = out.with_name(f".{out.name}.tmp{os.getpid()}")
    working.mkdir(parents=True)
    for file in students[0].glob("*.json"):
        if file.name != "adapt.json":
            shutil.copy2(file, working)
    save_file(mean, working / WEIGHTS, metadata={"format": "pt"})
    facts = [json.loads((student / "adapt.json").read_text(encoding="utf-8")) for student in students]
    (working / "adapt.json").write_text(json.dumps({"mean_of": facts}, ensure_ascii=False, indent=2), encoding="utf-8")
    working.replace(out)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit("usage: python runs/soup.py OUT STUDENT …")
    soup(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
