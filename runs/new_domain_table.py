"""The study of new domains as Markdown and a picture: a new expert, an old one with the rows joined, and TF-IDF.

``python runs/new_domain_table.py OUT DOC``: lines of ``OUT/cells.jsonl`` and ``OUT/joined.*.jsonl`` go in, ``DOC.md``'s
tables (printed) and ``DOC.png`` come out. It trains nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

Lines = Sequence[dict[str, Any]]


def gap(pairs: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Mean difference of pairs and its 95 % interval by Student's t over the pairs; NaN ends for one pair."""
    found = np.array([a - b for a, b in pairs])
    if len(found) < 2:
        return float(found.mean()), float("nan"), float("nan")
    half = student.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    return float(found.mean()), float(found.mean() - half), float(found.mean() + half)


def tfidf(cell: dict[str, Any]) -> float:
    """The better of the two, by the judged rows."""
    return max(cell["tfidf-lr"], cell["tfidf-svm"])


def beside_tfidf(cells: Lines) -> str:
    """New experts beside TF-IDF on the same rows."""
    lines = [
        "| domain | rows | TF-IDF | the expert it starts from | new expert | ahead of TF-IDF (95 %) | "
        "old domains moved, most | seconds |",
        "|---|---:|---:|---:|---:|---|---:|---:|",
    ]
    for domain, rows in dict.fromkeys((c["domain"], c["rows"]) for c in cells):
        some = [c for c in cells if (c["domain"], c["rows"]) == (domain, rows)]
        best, new = [tfidf(c) for c in some], [c["expert"] for c in some]
        start = [c["start"] for c in some if "start" in c]
        value, low, high = gap(list(zip(new, best, strict=True)))
        moved = max((c[key] for c in some for key in c if key.startswith("moved-")), key=abs, default=float("nan"))
        mark = "**" if low > 0 else ""
        lines.append(
            f"| {domain} | {rows:,} | {_spread(best)} | {_spread(start)} | {_spread(new)} | "
            f"{mark}{value:+.1f}{mark} ({low:+.1f} to {high:+.1f}) | {moved:+.2f} | "
            f"{np.median([c['seconds'] for c in some]):.0f} |"
        )
    return "\n".join(lines)


def beside_joined(cells: Lines, joined: Lines, rows: int) -> str:
    """A new expert on so many rows, and the old one going on with them joined to its own; what that does to the old."""
    lines = [
        "| domain | old domain | old expert alone | with the rows joined | a new expert | new − joined (95 %) | "
        "the old domain: alone | joined |",
        "|---|---|---:|---:|---:|---|---:|---:|",
    ]
    for domain in dict.fromkeys(line["joined"] for line in joined if line["joined"] != "nothing"):
        some = {line["seed"]: line for line in joined if line["joined"] == domain}
        old = next(iter(some.values()))["old"]
        alone = {line["seed"]: line for line in joined if (line["joined"], line["old"]) == ("nothing", old)}
        new = {c["seed"]: c["expert"] for c in cells if (c["domain"], c["rows"]) == (domain, rows)}
        seeds = [seed for seed in some if seed in alone and seed in new]
        if not seeds:
            continue
        value, low, high = gap([(new[seed], some[seed]["scores"][domain]) for seed in seeds])
        mark = "**" if low > 0 or high < 0 else ""
        lines.append(
            f"| {domain} | {old} | {_spread([alone[s]['scores'][domain] for s in seeds])} | "
            f"{_spread([some[s]['scores'][domain] for s in seeds])} | {_spread([new[s] for s in seeds])} | "
            f"{mark}{value:+.1f}{mark} ({low:+.1f} to {high:+.1f}) | "
            f"{_spread([alone[s]['scores'][old] for s in seeds])} | "
            f"{_spread([some[s]['scores'][old] for s in seeds])} |"
        )
    return "\n".join(lines)


def picture(cells: Lines, joined: Lines, rows: int, path: Path) -> None:
    """A panel a domain: macro-F1 over the rows, dots are seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    domains = list(dict.fromkeys(c["domain"] for c in cells))
    figure, axes = plt.subplots(1, len(domains), figsize=(3 * len(domains), 3.2), squeeze=False)
    for axis, domain in zip(axes[0], domains, strict=True):
        own = [c for c in cells if c["domain"] == domain]
        sizes = sorted({c["rows"] for c in own})
        for label, colour, of in (
            ("new expert", "tab:blue", lambda c: c["expert"]), ("TF-IDF", "tab:orange", tfidf),
        ):  # fmt: skip
            axis.plot(
                sizes, [np.mean([of(c) for c in own if c["rows"] == n]) for n in sizes], color=colour, label=label
            )
            axis.scatter([c["rows"] for c in own], [of(c) for c in own], s=10, color=colour, alpha=0.6)
        start = [c["start"] for c in own if "start" in c]
        if start:
            axis.axhline(float(np.mean(start)), color="tab:grey", linestyle="--", label="old expert as it is")
        with_rows = [line["scores"][domain] for line in joined if line["joined"] == domain]
        axis.scatter([rows] * len(with_rows), with_rows, marker="x", color="tab:green", label="old expert, rows joined")
        axis.set_xscale("log")
        axis.set_xticks(sizes, [f"{n:,}" for n in sizes])
        axis.minorticks_off()
        axis.set_title(domain, fontsize=9)
        axis.set_xlabel("labelled rows")
    axes[0][0].set_ylabel("macro-F1, %")
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


def main() -> None:
    """Print the tables, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("doc", type=Path, help="Name of the picture, without its ending.")
    parser.add_argument("--rows", type=int, default=1000, help="Rows that were joined.")
    args = parser.parse_args()
    cells, joined = (
        [json.loads(line) for file in sorted(args.out.glob(name)) for line in file.read_text("utf-8").splitlines()]
        for name in ("cells.jsonl", "joined.*.jsonl")
    )
    print(f"{beside_tfidf(cells)}\n\n{beside_joined(cells, joined, args.rows)}")
    picture(cells, joined, args.rows, args.doc.with_suffix(".png"))


if __name__ == "__main__":
    main()
