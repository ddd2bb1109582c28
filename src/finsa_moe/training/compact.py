"""A compact backbone from raw text: tokenizer, corpus, masked-language modelling, and the finished folder.

The whole of `finsa pretrain`: each step is skipped when its result stands, so that the same command goes on where it
was stopped. It knows nothing of labels or experts.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from finsa_moe.config import PretrainConfig
from finsa_moe.data.duplicates.held_out import HeldOut
from finsa_moe.data.lines import normalised_lines
from finsa_moe.errors import ConfigError, FinSAError, ModelError
from finsa_moe.files import write
from finsa_moe.model.backbone import load_tokenizer
from finsa_moe.model.device import usable_device
from finsa_moe.model.history import SETTINGS
from finsa_moe.training.corpus import PAD, SPECIAL, Corpus, train_tokenizer
from finsa_moe.training.masking import WholeWordMasker
from finsa_moe.training.pretrain import Pretrainer
from finsa_moe.training.processes import Processes
from finsa_moe.training.resume import at_work, check_own, files_mark, keep_inputs

TOKENIZER = "tokenizer.json"
_MAY_CHANGE = {
    "epochs", "max_steps", "max_minutes", "save_minutes", "log_steps", "decay", "compile",
    "learning_rate",  # a run that diverged goes on with a lower one
}  # fmt: skip


def pretrain(
    sources: Sequence[Path],
    out: Path,
    settings: PretrainConfig,
    *,
    resume: bool = False,
    init: Path | None = None,
    held_out: Sequence[str] = (),
    device: str | None = None,
    log: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train a tokenizer and a compact backbone on text files, one text a line.

    Args:
        sources: Text files, plain or compressed; name a file twice to draw from it twice as often.
        out: Folder of the backbone; ``run/`` in it keeps corpus, state and log.
        settings: The resolved configuration.
        resume: Go on with the run that stands in `out`.
        init: A backbone folder whose tokenizer and weights to start from.
        held_out: Texts that a model is going to be judged by; lines equal or near to one are dropped.
        device: Torch device; None picks a GPU when there is one.
        log: Called with a dict of statistics now and then.

    Returns:
        The facts written to ``pretrain.json``.

    Raises:
        ConfigError: If `out` holds a run and `resume` is off, or one of other settings or texts, or that another
            process is at, or a model that no run in it made; for a device that is not there.
        DataError: If there is no room for what is written.
    """
    processes, run = Processes(), out / "run"
    where = processes.device(usable_device(device))
    fresh = not run.exists()
    if processes.first:
        check_own(out, *([init] if init else []), begun=(run / TOKENIZER).exists())
        _check_run(run / SETTINGS, settings, resume)
    with at_work(run, first=processes.first):
        try:
            if processes.first:
                keep_inputs(run, _inputs(sources, held_out, init), resume=resume)
                settings.save(run / SETTINGS)
            with processes.in_turn():
                dropped: list[str] = []
                tokenizer = _tokenizer(lambda: _lines(sources, held_out), run / TOKENIZER, settings, init)
                if not (run / "corpus").exists():
                    lines = _lines(sources, held_out, dropped)
                    Corpus.write(lines, tokenizer, run / "corpus", longest=settings.longest, dropped=dropped)
            corpus = Corpus.open(run / "corpus")
            masker = WholeWordMasker(tokenizer, rate=settings.mask_rate)
            trainer = Pretrainer(run, corpus, masker, settings, device=where, init=init, processes=processes)
        except FinSAError:
            if fresh:  # a mistake at the door is no run that a second try would have to resume
                shutil.rmtree(run, ignore_errors=True)  # NFS keeps a name of the lock, which is open
            raise
        with processes.in_turn():  # the first mends what a kill left
            trainer.resume()
        processes.wait()  # all have read the state before the first replaces it
        progress = trainer.run(log)
        facts = {
            "parameters": sum(p.numel() for p in trainer.model.backbone.parameters()),
            "embedding_parameters": trainer.model.backbone.get_input_embeddings().weight.numel(),
            "documents": len(corpus), "corpus_tokens": int(corpus.ends[-1]), "lines_dropped": corpus.dropped,
            "steps": progress.step, "tokens_seen": progress.tokens, "minutes": round(progress.minutes, 1),
            "sources": [source.name for source in sources],
        }  # fmt: skip
        if processes.first:
            save_backbone(trainer.model.backbone, tokenizer, out, settings.max_length, facts)
    return facts


def save_backbone(backbone: Any, tokenizer: Tokenizer, out: Path, max_length: int, facts: dict[str, Any]) -> None:
    """Write backbone, tokenizer and facts so that `AutoModel` and `AutoTokenizer` load them."""
    backbone.save_pretrained(out)
    names = {f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=max_length, padding_side="right",
        model_input_names=["input_ids", "attention_mask"], **names,
    ).save_pretrained(out)  # fmt: skip
    write(out / "pretrain.json", json.dumps(facts, indent=2))


def _check_run(kept: Path, settings: PretrainConfig, resume: bool) -> None:
    """Refuse to mix two runs in one folder; only its length and its rate may change when it goes on."""
    if not kept.exists():
        return
    if not resume:
        raise ConfigError(f"{kept.parent}: holds a run already; add --resume to go on with it, or name another --out")
    before = PretrainConfig.load(kept).as_dict()  # a run older than a key had its default
    changed = [k for k, v in settings.as_dict().items() if before[k] != v and k not in _MAY_CHANGE]
    if changed:
        key = changed[0]
        raise ConfigError(
            f"{kept}: {key} was {before[key]!r}, now {settings.as_dict()[key]!r}; "
            "resume with the same settings or name another --out"
        )


def _inputs(sources: Sequence[Path], held_out: Sequence[str], init: Path | None) -> dict[str, str]:
    """A mark of what a run reads, keeps from it, and starts from."""
    return {
        "texts": files_mark(*sources), "start": files_mark(init) if init else "",
        "held-out texts": hashlib.sha256("\n".join(held_out).encode()).hexdigest()[:16],
    }  # fmt: skip


def _lines(sources: Sequence[Path], held_out: Sequence[str], dropped: list[str] | None = None) -> Iterator[str]:
    """What may be learnt from."""
    lines = normalised_lines(sources)
    return HeldOut(held_out).without(lines, dropped) if held_out else lines


def _tokenizer(
    lines: Callable[[], Iterator[str]], path: Path, settings: PretrainConfig, init: Path | None
) -> Tokenizer:
    if not path.exists():
        if init is not None:
            tokenizer: Tokenizer = load_tokenizer(init).backend_tokenizer
        else:
            # Every k-th line, so that each source counts by its size however the files are ordered.
            step = max(1, sum(1 for _ in lines()) // settings.tokenizer_lines)
            tokenizer = train_tokenizer(islice(lines(), 0, None, step), vocab_size=settings.vocab_size)
        if tokenizer.id_to_token(PAD) != SPECIAL[PAD]:
            raise ModelError(f"{init}: its tokenizer was not made by finsa pretrain ([PAD] is not token 0)")
        write(path, tokenizer.to_str(pretty=True))
    return Tokenizer.from_file(str(path))
