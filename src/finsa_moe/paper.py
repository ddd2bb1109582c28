"""The paper's commands over the verbs of `finsa`: its option names, and defaults that need no path edited.

`scripts/*.py`, `main.py` and `src/inference.py` call these functions. Data is looked for in ``data/processed/<domain>``
and else in what ``make demo`` left; results go to ``outputs/``. Where neither has a backbone, the default model's is
taken. Nothing is computed here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from finsa_moe.cli import main as finsa

DOMAINS = ("news", "forum")
OUTPUTS, DEMO, PROCESSED = Path("outputs"), Path("demo"), Path("data/processed")


def train_expert(domain: str, arguments: Sequence[str] | None = None) -> int:
    """``scripts/train_news_expert.py`` and ``scripts/train_forum_expert.py``."""
    parser = _parser(f"Train the {domain} expert (stage 1).")
    parser.add_argument("--data_path", default=str(_data(domain)), help="folder with train.csv and valid.csv")
    parser.add_argument("--backbone", default=_backbone(), help="folder or hub name; None: the default model's")
    parser.add_argument("--output_dir", default=str(OUTPUTS / f"{domain}_expert"))
    known, rest = parser.parse_known_args(arguments)
    verb = ["train-expert", domain, known.data_path, "--out", known.output_dir]
    backbone = ["--backbone", known.backbone] if known.backbone else []
    return finsa([*verb, *backbone, *_config(known.data_path, rest)])


def merge(arguments: Sequence[str] | None = None) -> int:
    """``scripts/merge_expert_lora.py``."""
    parser = _parser("Merge the experts into one mixture (stage 2).")
    for domain in DOMAINS:
        parser.add_argument(f"--{domain}_expert", default=str(OUTPUTS / f"{domain}_expert"))
    parser.add_argument("--output_dir", default=str(OUTPUTS / "moe_init"))
    known, rest = parser.parse_known_args(arguments)
    experts = [f"--expert={domain}={getattr(known, f'{domain}_expert')}" for domain in DOMAINS]
    return finsa(["merge", *experts, "--out", known.output_dir, *rest])


def train_joint(arguments: Sequence[str] | None = None) -> int:
    """``scripts/train_joint_moe.py``."""
    parser = _parser("Warm the router up and train jointly (stage 3).")
    parser.add_argument("--model_path", default=str(OUTPUTS / "moe_init"), help="what merge_expert_lora.py wrote")
    for domain in DOMAINS:
        parser.add_argument(f"--{domain}_path", default=str(_data(domain)))
    parser.add_argument("--output_dir", default=str(OUTPUTS / "joint"))
    known, rest = parser.parse_known_args(arguments)
    data = [f"--data={domain}={getattr(known, f'{domain}_path')}" for domain in DOMAINS]
    verb = ["train-joint", known.model_path, *data, "--out", known.output_dir]
    return finsa([*verb, *_config(known.news_path, rest)])


def evaluate(arguments: Sequence[str] | None = None) -> int:
    """``scripts/evaluate.py``; the routed model first, the given domain's expert beside it."""
    parser = _parser("Evaluate a mixture on one domain.")
    parser.add_argument("--model_path", default=str(_model()))
    parser.add_argument("--dataset_type", choices=DOMAINS, default="news")
    parser.add_argument("--data_path", help="a file, or a folder whose test.csv is taken")
    known, rest = parser.parse_known_args(arguments)
    return finsa(["evaluate", known.model_path, str(_test(known.data_path, known.dataset_type)),
                  "--domain", known.dataset_type, *rest])  # fmt: skip


def inference(arguments: Sequence[str] | None = None) -> int:
    """``src/inference.py``: texts as arguments, by pipe, or interactively."""
    parser = _parser("Ask a mixture for the sentiment of texts; without a text it asks for one, `quit` leaves.")
    parser.add_argument("--model_path", default=str(_model()))
    known, rest = parser.parse_known_args(arguments)
    return finsa(["predict", "--model", known.model_path, *rest])


def run(arguments: Sequence[str] | None = None) -> int:
    """``main.py --mode train|test|inference --data_type news|forum --model_path P``."""
    parser = _parser("Train an expert, test a mixture, or ask it.")
    parser.add_argument("--mode", choices=("train", "test", "inference"), required=True)
    parser.add_argument("--data_type", choices=DOMAINS, default="news", help="domain whose data or expert is meant")
    parser.add_argument("--model_path", help="mixture for test and inference; backbone for train")
    parser.add_argument("--data_path")
    known, rest = parser.parse_known_args(arguments)
    data = ["--data_path", known.data_path] if known.data_path else []
    if known.mode == "train":
        model = ["--backbone", known.model_path] if known.model_path else []
        return train_expert(known.data_type, [*model, *data, *rest])
    model = ["--model_path", known.model_path] if known.model_path else []
    if known.mode == "test":
        return evaluate([*model, "--dataset_type", known.data_type, *data, *rest])
    if data:
        parser.error("--data_path is for train and test; to answer a file, --input F --output G")
    return inference([*model, "--domain", known.data_type, *rest])


def _parser(description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=description,
        epilog="Any further option goes to the verb of finsa that does the work.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def _data(domain: str) -> Path:
    processed = PROCESSED / domain
    return processed if processed.is_dir() else DEMO / "data" / domain


def _backbone() -> str | None:
    return next((str(place / "backbone") for place in (OUTPUTS, DEMO) if (place / "backbone").is_dir()), None)


def _model() -> Path:
    own = OUTPUTS / "joint" / "moe_joint"
    return own if own.is_dir() else DEMO / "model" / "moe_joint"


def _test(given: str | None, domain: str) -> Path:
    path = Path(given) if given else _data(domain)
    return path / "test.csv" if path.is_dir() else path


def _config(data: str, rest: list[str]) -> list[str]:
    """The paper's settings for the user's own data; the small ones for the demo's few hundred rows."""
    if any(word.startswith("--config") for word in rest):
        return rest
    return ["--config", "laptop" if Path(data).parts[:1] == DEMO.parts else "paper", *rest]
