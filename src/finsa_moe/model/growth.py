"""One expert more or one fewer in a mixture's folder; every other expert's files are copied byte for byte.

Folders and the new router go in, a new mixture's folder comes out, whole or not at all. Nothing here trains, and the
folder it starts from is never written to.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from finsa_moe.data.domains import check_domain
from finsa_moe.data.ngrams import ROUTER_TABLE, NGrams
from finsa_moe.errors import ConfigError, ModelError
from finsa_moe.files import read_json, working_folder
from finsa_moe.model import history
from finsa_moe.model.adapter import read_tensors
from finsa_moe.model.checkpoint import BACKBONE, EXPERTS, WEIGHTS, read_config
from finsa_moe.model.configuration import FinSAMoEConfig
from finsa_moe.model.replay import write_replay
from finsa_moe.model.sketch import Sketch

LAST, GROWN = "router.layers.4.", "router.grown."
"""The router's last linear, one row a domain; the layers of domains that came later."""


def check_new(config: FinSAMoEConfig, folder: Path, domain: str) -> None:
    """Refuse a domain that this mixture cannot take.

    Raises:
        ModelError: If the name is no name or is taken, or if the experts share one head.
    """
    check_domain(domain)
    if domain in config.domains:
        raise ModelError(f"{folder}: has an expert {domain} already ({', '.join(config.domains)}); choose another name")
    if config.shared_head:
        raise ModelError(f"{folder}: its experts share one head, which a further one would change; "
                         "train the mixture with shared_head: false")  # fmt: skip


def widened(
    tensors: Mapping[str, Tensor], head: Mapping[str, Tensor], layers: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Router and heads with one domain more: all as they were, then `head` (3, d) and the router's layers for it."""
    grown = len({name.split(".")[2] for name in tensors if name.startswith(GROWN)})
    return {
        **tensors,
        "heads.weight": torch.cat([tensors["heads.weight"], head["weight"][None].to(tensors["heads.weight"])]),
        "heads.bias": torch.cat([tensors["heads.bias"], head["bias"][None].to(tensors["heads.bias"])]),
        **{f"{GROWN}{grown}.{name}": tensor.detach().cpu().contiguous() for name, tensor in layers.items()},
    }


def narrowed(
    tensors: Mapping[str, Tensor], experts: int, index: int, *, shared_head: bool = False
) -> dict[str, Tensor]:
    """Router and heads without one of the experts; what remains is as it was, a head that all share among it."""
    grown = len({name.split(".")[2] for name in tensors if name.startswith(GROWN)})
    first = experts - grown  # below: a row of the router's last linear; from here on: layers of its own
    kept = [at for at in range(experts) if at != index]
    found = {}
    for name, tensor in tensors.items():
        if name.startswith("heads.") and not shared_head:
            found[name] = tensor[kept].contiguous()
        elif name.startswith(LAST) and index < first:
            found[name] = tensor[[at for at in range(first) if at != index]].contiguous()
        elif name.startswith(GROWN):
            place, _, rest = name.removeprefix(GROWN).partition(".")
            at = first + int(place)
            if at != index:
                found[f"{GROWN}{int(place) - (first <= index < at)}.{rest}"] = tensor
        else:
            found[name] = tensor
    return found


def add(
    source: Path, out: Path, domain: str, expert: Path, small: Mapping[str, Tensor], *, scaling: float,
    replay: Mapping[str, Sketch], more: Callable[[Path], None] = lambda _: None,
) -> None:  # fmt: skip
    """Write `source` with a further expert to `out`.

    Args:
        source: The mixture.
        out: Folder to make; it must not exist.
        domain: Name of the new domain.
        expert: Folder of the new expert.
        small: Router and heads, of all domains.
        scaling: alpha / rank of the new expert.
        replay: Sketches of states by domain, the new one's too.
        more: Given the working folder before it gets its name, for what else belongs there.

    Raises:
        ConfigError: If `out` exists.
    """
    config = read_config(source)
    config.domains, config.scaling = [*config.domains, domain], [*config.scaling, scaling]
    config.router_grown += 1
    with _made(source, out, config, small, replay) as working:
        shutil.copytree(
            expert,
            working / EXPERTS / domain,
            ignore=shutil.ignore_patterns("run", history.SETTINGS, history.METRICS, "token*"),
        )
        history.keep(source, working, domain)
        more(working)


def remove(source: Path, out: Path, domain: str, replay: Mapping[str, Sketch] | None) -> None:
    """Write `source` without one expert to `out`; what remains is as it was. It undoes `add`, to the bit.

    Metrics and configuration are brought back by `history`.

    Raises:
        ModelError: If there is no such expert, or no other.
        ConfigError: If `out` exists.
    """
    config = read_config(source)
    if domain not in config.domains:
        raise ModelError(f"{source}: has no expert {domain}; it has {', '.join(config.domains)}")
    index, experts = config.domains.index(domain), len(config.domains)
    later = index >= experts - config.router_grown
    if experts - config.router_grown == 1 and not later:
        raise ModelError(f"{source}: {domain} is the only expert it was trained with; the others stand on its router")
    small = narrowed(read_tensors(source / WEIGHTS), experts, index, shared_head=config.shared_head)
    added = config.domains[experts - config.router_grown :]
    config.router_grown -= later
    for part in (config.domains, config.scaling):
        del part[index]
    left = None if replay is None else {name: replay[name] for name in config.domains}
    with _made(source, out, config, small, left) as working:
        history.bring_back(source, working, domain, added)


@contextmanager
def _made(
    source: Path, out: Path, config: FinSAMoEConfig, small: Mapping[str, Tensor], replay: Mapping[str, Sketch] | None
) -> Iterator[Path]:
    """A copy of `source` with another configuration, renamed to `out` when the block ends well."""
    if out.exists():
        raise ConfigError(f"{out}: exists already; name another --out, or remove it first")
    with working_folder(out) as working:
        for domain in config.domains:
            if (source / EXPERTS / domain).is_dir():
                shutil.copytree(source / EXPERTS / domain, working / EXPERTS / domain)
        if (source / BACKBONE).is_dir():
            shutil.copytree(source / BACKBONE, working / BACKBONE)
        for file in (*source.glob("*token*.json"), *source.glob("novelty.safetensors")):
            shutil.copy2(file, working)
        save_file(dict(small), working / WEIGHTS, metadata={"format": "pt"})
        _router_table(source, working, config.domains)
        # As JSON: what the library has since added to or dropped from a configuration is not ours to change here.
        raw = read_json(source / "config.json")
        raw |= {"domains": config.domains, "scaling": config.scaling, "router_grown": config.router_grown}
        if "router_ngrams" in raw:
            raw["router_ngrams"] = (working / ROUTER_TABLE).is_file()
        spelt = (source / "config.json").read_text(encoding="utf-8").isascii()  # as it is, Chinese escaped or not
        text = json.dumps(raw, ensure_ascii=spelt, indent=2, sort_keys=True) + "\n"
        (working / "config.json").write_text(text, encoding="utf-8")
        if replay is not None:
            write_replay(working, replay)
        yield working
        working.replace(out)


def _router_table(source: Path, working: Path, domains: list[str]) -> None:
    """The router's table of n-grams for other domains: it knows nothing of one that came later; for one there is none.

    What came later was never shown to it beside the others' texts, which a finished mixture no longer has.
    """
    config = read_config(source)
    before = config.domains
    table = NGrams.read(source / ROUTER_TABLE, len(before), noted=config.router_ngrams)
    if table is None:
        return
    table = table.columns([before.index(name) if name in before else None for name in domains])
    if np.isfinite(table.bias).sum() > 1:
        table.write(working / ROUTER_TABLE)
