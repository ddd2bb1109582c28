"""The mixture without this package: one graph, onnxruntime and a tokenizer, as any language with ONNX Runtime has them.

Made by ``finsa export MODEL --out DIR --single``. Make traditional characters simplified before; texts over the limit
lose their end here, and which of two amounts is more is not said (docs/method.md).
"""

import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

if len(sys.argv) < 3:
    sys.exit("usage: python examples/onnx_only.py DIR TEXT...")
folder, texts = Path(sys.argv[1]), sys.argv[2:]
config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
if config["prompt"] != "none":
    sys.exit(f"{folder}: the model wants its prompt round the text; this example knows models without one")
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
session = onnxruntime.InferenceSession(str(folder / "single.onnx"), providers=["CPUExecutionProvider"])

rows = [tokenizer.encode(unicodedata.normalize("NFKC", text)).ids[: config["max_tokens"]] for text in texts]
ids = np.full((len(rows), max(map(len, rows))), config["pad_id"], dtype=np.int64)
mask = np.zeros_like(ids)
for at, row in enumerate(rows):
    ids[at, : len(row)], mask[at, : len(row)] = row, 1

probs, gate = session.run(["probs", "gate"], {"ids": ids, "mask": mask})
for text, three, weights in zip(texts, probs, gate, strict=True):
    print(
        ("利空", "中性", "利好")[three.argmax()],
        f"{three.max():.3f}",
        config["domains"][weights.argmax()],
        text,
        sep="\t",
    )
