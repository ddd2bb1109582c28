"""What the command tells of an export."""

from __future__ import annotations

from pathlib import Path

import pytest

from finsa_moe.cli.export import show
from finsa_moe.export.export import Exported


@pytest.mark.parametrize("novelty", [True, False])
def test_without_rows_it_says_what_is_lacking(
    novelty: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mixture that knows sums of its training texts has its novelty score all the same."""
    show(Exported(novelty=novelty), tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert f"not calibrated{'' if novelty else ', no novelty'}; name them with --data NAME=DIR" in said
