"""The simplified scenario of the COIN paper: matrices on signals of length d."""

from __future__ import annotations

import numpy as np

from ued_core.errors import ParameterError


def tridiagonal(size: int, off_diagonal: float) -> np.ndarray:
    """Ones on the diagonal, ``off_diagonal`` beside it; float64 (d, d).

    Source:
        The class-wise noise matrix of the simplified scenario, arXiv 2311.18403.
    """
    return np.eye(size) + off_diagonal * (np.eye(size, k=1) + np.eye(size, k=-1))


def random_matrix(size: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """The paper's random matrix A_r; float64 (d, d), two entries per row that sum to one.

    Row i draws s ~ U(-α, α), m = ⌊s⌋ and n = s - m; entry (i+m) mod d is 1-n, entry (i+m+1) mod d is n.

    Args:
        size: d, at least 2.
        strength: α ≥ 0, in entries.
        rng: draws one number per row.

    Raises:
        ParameterError: size or strength cannot be used.

    Source:
        arXiv 2311.18403, as described in reviews of the paper.
    """
    if size < 2 or strength < 0:
        raise ParameterError(f"A random matrix needs size ≥ 2 and strength ≥ 0, not {size} and {strength}.")
    shift = rng.uniform(-strength, strength, size) if strength else np.zeros(size)
    whole = np.floor(shift).astype(np.int64)
    fraction = shift - whole
    rows = np.arange(size)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (rows, (rows + whole) % size), 1 - fraction)
    np.add.at(matrix, (rows, (rows + whole + 1) % size), fraction)
    return matrix
