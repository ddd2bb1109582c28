"""The sample texts that come with the package: where they lie, and a copy of them for a user to look at.

They were written for this package, a few hundred a domain: enough to learn the tool on, not to judge a model by. This
module reads none of them.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from finsa_moe.errors import DataError
from finsa_moe.files import write

Domain = Literal["news", "forum"]
DOMAINS: tuple[Domain, ...] = get_args(Domain)


def path(domain: Domain) -> Path:
    """The CSV of one domain's sample, with columns ``id,text,label``.

    Raises:
        DataError: If there is no sample of that domain.
    """
    if domain not in DOMAINS:
        raise DataError(f"no sample of domain {domain!r}; allowed: {', '.join(DOMAINS)}")
    return Path(str(files("finsa_moe") / "data" / "sample" / f"{domain}.csv"))


def copy(out: Path) -> list[Path]:
    """Copy the samples into a folder as ``news.csv`` and ``forum.csv``; the paths written.

    Raises:
        DataError: If a file of that name is there already or cannot be written.
    """
    made = [out / f"{domain}.csv" for domain in DOMAINS]
    for target in made:
        if target.exists():
            raise DataError(f"{target}: is there already; choose another --out or remove it")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: no folder can be made there: {error.strerror}; choose another --out") from error
    for domain, target in zip(DOMAINS, made, strict=True):
        write(target, path(domain).read_bytes())
    return made
