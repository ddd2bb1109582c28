"""Where the project's own model lies: the graphs that answer, and the weights to train on from.

The graphs stand in the package. The weights, of use only to who trains, stand in the repository under
``models/default``; ``FINSA_DEFAULT`` names another place for them.
"""

from __future__ import annotations

import os
from pathlib import Path

from finsa_moe.errors import ModelError

MODEL = Path(__file__).parent / "assets" / "default"
REPOSITORY = Path(__file__).parents[2]
VARIABLE = "FINSA_DEFAULT"
TRAINED_UNTIL = "2026-08-21"
"""Last day of the dated texts that anything of the model in the package learnt from: announcements (docs/data.md)."""


def model() -> Path:
    """The default model's folder of graphs.

    Raises:
        ModelError: If this installation has none.
    """
    if not MODEL.is_dir():
        raise ModelError(
            "this installation has no default model; install the package anew, or train a model with `make demo` "
            "and say --model demo/model/moe_joint (Python: load('demo/model/moe_joint'))"
        )
    return MODEL


def place(named: str | Path | None = None) -> Path:
    """The folder that a model's name means: of none, or of ``default`` where no folder has that name, the default's.

    Raises:
        ModelError: If the default model is meant and this installation has none.
    """
    return model() if named is None or (str(named) == "default" and not Path(named).is_dir()) else Path(named)


def weights(part: str = "backbone") -> Path:
    """A part of the default model that training starts from: ``backbone``, ``experts/news`` or ``experts/forum``.

    It is looked for where ``FINSA_DEFAULT`` says, else in ``models/default`` of the working folder, else in that of the
    checkout that the package was installed from.

    Raises:
        ModelError: If it is in none of them.
    """
    named = os.environ.get(VARIABLE)
    places = [Path(named)] if named else [Path("models/default"), REPOSITORY / "models" / "default"]
    for place in places:
        if (place / part).is_dir():
            return place / part
    raise ModelError(
        f"no {part} in {' or '.join(map(str, places))}; training starts from the weights in the project's "
        f"repository: set {VARIABLE} to its models/default, or name a backbone with --backbone"
    )
