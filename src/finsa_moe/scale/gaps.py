"""What folders of answers may lack: files of runs that were stopped, and files that could not be read.

Files of answers go in, lines for a reader come out, from the manifests beside them. It counts no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finsa_moe.scale.manifest import standing_of
from finsa_moe.scale.scored import manifest_of


def gaps(files: Sequence[Path]) -> list[str]:
    """What a reader has to know of folders of `finsa score` whose answers may not be all.

    Args:
        files: Shards of such folders; any other file has no manifest, and nothing is told of it.
    """
    told = []
    for manifest in sorted({found for file in files if (found := manifest_of(file)) is not None}):
        standing, out = standing_of(manifest), manifest.parent
        if standing.ended is None:
            told.append(
                f"{out}: its manifest does not tell whether finsa score has come to its end there, as of an earlier "
                "version; the same finsa score again answers what is missing, and notes it"
            )
        if standing.unfinished:
            told.append(
                f"{out}: finsa score has not come to its end there, and {len(standing.unfinished):,} files may lack "
                f"answers (first: {standing.unfinished[0]}): finish it: finsa score … --out {out}"
            )
        if standing.bad:
            name, reason = next(iter(sorted(standing.bad.items())))
            told.append(f"{out}: {len(standing.bad):,} files were left out as bad (first: {name}: {reason})")
    return told
