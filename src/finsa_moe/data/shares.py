"""How sure a share is that was counted in some rows.

A share and a number of rows in, the ends of an interval out. It does not know what was counted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Z = 1.959964
"""Half the width of a 95 % interval, in standard errors."""


def wilson(share: NDArray[np.float64], n: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's score interval of shares among n rows: unlike a bootstrap's, not without width at 0 and 1."""
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return middle - half, middle + half
