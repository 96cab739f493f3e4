"""One operator in several forms: matrix, singular values, frequency response; and what many draws of COIN average to.

Operators here act on the d = height·width pixels of one channel and are scipy CSR matrices, float64
(d, d), entries of equal column summed. Nothing dense is made above 32×32.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from ued_core.border import Boundary
from ued_core.errors import DataError, ParameterError
from ued_core.theory.matrices import (
    LocalMatrix,
    Padding,
    coin_matrix,
    convolution_matrix,
    expected_axis,
    fold,
)

OperatorName = Literal["attack", "coin", "product", "mean", "difference"]
#: dense singular values take about 0.3 s here, and the time grows with the cube of the pixels
SVD_LIMIT = 1024
#: numbers drawn at a time for a mean over draws; bounds the memory
DRAWS_AT_ONCE = 500_000


# ---- operators -------------------------------------------------------------------------------


def unit_fields(draws: int, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Displacements for strength 1, float64 (draws, 2, H, W): dx and dy, uniform on [-1, 1).

    Times α they are COIN's; the first ones are the same however many are drawn, so a mean of one
    draw is that draw, and a moving α moves every entry smoothly.
    """
    return rng.uniform(-1.0, 1.0, (draws, 2, *size))


def coin_draw(
    strength: float, rng: np.random.Generator, size: tuple[int, int], boundary: Boundary = "periodic"
) -> LocalMatrix:
    """One random COIN matrix R of strength α on images of ``size`` (H, W)."""
    _check_strength(strength)
    dx, dy = strength * unit_fields(1, rng, size)[0]
    return coin_matrix(dx, dy, boundary)


def coin_expectation(strength: float, size: tuple[int, int], boundary: Boundary = "periodic") -> sparse.csr_matrix:
    """E[R] over all draws, exactly: the Kronecker product of two one-dimensional expectations."""
    _check_strength(strength)
    tall, wide = (sparse.csr_matrix(expected_axis(n, strength, boundary)) for n in size)
    return sparse.kron(tall, wide, format="csr")


def coin_mean(
    strength: float, draws: int, rng: np.random.Generator, size: tuple[int, int], boundary: Boundary = "periodic"
) -> LocalMatrix:
    """The element-wise mean of ``draws`` random COIN matrices.

    Every displacement falls into one of (2⌈α⌉)² cells around its pixel, so the weights are counted
    into a window a pixel; the cost is linear in pixels and draws.

    Args:
        strength: α ≥ 0, in pixels.
        draws: n ≥ 1.
        rng: see :func:`unit_fields`.
        size: (H, W).
        boundary: as in :func:`ued_core.displacement.displace`.

    Raises:
        ParameterError: strength or number of draws cannot be used.
    """
    _check_strength(strength)
    if draws < 1:
        raise ParameterError(f"The number of draws is {draws!r}, but it must be a whole number of at least 1.")
    height, width = size
    if strength == 0:
        return coin_matrix(np.zeros(size), np.zeros(size), boundary)
    (rows, top, bottom), (columns, left, right) = (_slots(n, strength, boundary) for n in size)
    tall, wide = rows.shape[1], columns.shape[1]
    weights = np.zeros(height * width * tall * wide)
    y, x = np.mgrid[:height, :width]
    window = (y * width + x) * tall * wide
    lowest, last = int(np.floor(-strength)), top.shape[1] - 1
    step = max(1, DRAWS_AT_ONCE // (height * width))
    for start in range(0, draws, step):
        # Called block by block, the generator gives the same numbers as in one go.
        dx, dy = (strength * unit_fields(min(step, draws - start), rng, size)).swapaxes(0, 1)
        mx, my = np.floor(dx), np.floor(dy)
        fx, fy = dx - mx, dy - my
        cx, cy = (np.minimum(m.astype(np.int64) - lowest, last) for m in (mx, my))
        for slot_y, weight_y in ((top, 1 - fy), (bottom, fy)):
            line = window + slot_y[y, cy] * wide
            for slot_x, weight_x in ((left, 1 - fx), (right, fx)):
                place = line + slot_x[x, cx]
                weights += np.bincount(place.ravel(), (weight_y * weight_x).ravel(), len(weights))
    places = rows[:, None, :, None] * width + columns[None, :, None, :]
    gone = (rows < 0)[:, None, :, None] | (columns < 0)[None, :, None, :]
    shape = (height * width, tall * wide)
    return LocalMatrix(np.where(gone, -1, places).reshape(shape), weights.reshape(shape) / draws, height, width)


def _slots(size: int, strength: float, boundary: Boundary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where COIN can read along one axis: columns (n, K), and for every cell the place of its two neighbours among them
    (n, cells).

    Rows with fewer columns are filled up with -1.
    """
    cells = np.arange(int(np.floor(-strength)), int(np.ceil(strength)))
    position = np.arange(size)[:, None] + cells
    low, high = fold(position, np.full(position.shape, 0.5), size, boundary)
    reached = [np.unique(np.concatenate(pair)) for pair in zip(low, high, strict=True)]
    columns = np.full((size, max(map(len, reached))), -1, dtype=np.int64)
    for p, own in enumerate(reached):
        columns[p, : len(own)] = own
    low_slot, high_slot = (
        np.stack([np.searchsorted(own, row) for own, row in zip(reached, side, strict=True)]) for side in (low, high)
    )
    return columns, low_slot, high_slot


def operator(
    name: OperatorName,
    kernel: np.ndarray | None,
    *,
    size: tuple[int, int],
    strength: float,
    draws: int,
    seed: int,
    other: np.ndarray | None = None,
    padding: Padding = "zero",
    boundary: Boundary = "periodic",
) -> sparse.csr_matrix:
    """Attack, defence, or both, as one matrix.

    Args:
        name: ``attack`` A_k; ``coin`` one draw R; ``product`` R·A_k; ``mean`` of n draws of R·A_k;
            ``difference`` E[R]·(A_k - A_j), what remains between the means of two classes.
        kernel: float (k, k), the class's filter; ``None`` where an attack has none: the identity then.
        size: (H, W).
        strength: α in pixels; 0 is no COIN.
        draws: n, for ``mean``.
        seed: of the draws.
        other: float (k, k), filter of the second class j, for ``difference``.
        padding: of the attack, as in :func:`ued_core.theory.matrices.convolution_matrix`.
        boundary: as in :func:`ued_core.displacement.displace`.

    Raises:
        ParameterError: no such operator, or it needs a kernel that is not given.
    """
    if name not in ("attack", "coin", "product", "mean", "difference"):
        raise ParameterError(f"The operator is {name!r}, but it must be attack, coin, product, mean or difference.")
    if (name in ("attack", "difference") and kernel is None) or (name == "difference" and other is None):
        raise ParameterError(
            f"The operator {name!r} needs the kernels of a convolution-based attack, but there are none."
        )
    rng = np.random.default_rng(seed)
    if name == "difference" and kernel is not None and other is not None:
        apart = convolution_matrix(kernel - other, *size, padding).sparse()
        return _summed(coin_expectation(strength, size, boundary) @ apart)
    attack = (
        sparse.identity(size[0] * size[1], format="csr")
        if kernel is None
        else convolution_matrix(kernel, *size, padding).sparse()
    )
    if name == "attack":
        return _summed(attack)
    defence = (
        coin_mean(strength, draws, rng, size, boundary) if name == "mean" else coin_draw(strength, rng, size, boundary)
    )
    return _summed(defence.sparse() if name == "coin" else defence.sparse() @ attack)


def _summed(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _check_strength(strength: float) -> None:
    if not np.isfinite(strength) or strength < 0:
        raise ParameterError(f"The strength is {strength!r}, but it must be a number of at least 0 px.")


# ---- spectra ---------------------------------------------------------------------------------


def singular_values(matrix: LocalMatrix | sparse.csr_matrix) -> np.ndarray:
    """All singular values by a dense decomposition, largest first; float64 (d,).

    Raises:
        DataError: more than 1024 pixels; the time grows with their cube.
    """
    own = matrix.sparse() if isinstance(matrix, LocalMatrix) else matrix
    d = own.shape[0]
    if d > SVD_LIMIT:
        raise DataError(
            f"All singular values of a matrix for {d} pixels would take too long; the limit is {SVD_LIMIT} pixels.",
            "Take largest_singular_values(), or the frequency response as an approximation.",
        )
    return np.linalg.svd(own.toarray(), compute_uv=False)


def largest_singular_values(matrix: LocalMatrix | sparse.csr_matrix, count: int = 6) -> np.ndarray:
    """The ``count`` largest singular values by Lanczos steps on the sparse matrix, largest first."""
    from scipy.sparse.linalg import svds

    own = matrix.sparse() if isinstance(matrix, LocalMatrix) else matrix
    # A fixed start: the same matrix always gives the same digits.
    start = np.random.default_rng(0).standard_normal(own.shape[0])
    return np.sort(svds(own, k=count, v0=start, return_singular_vectors=False))[::-1]


def operator_spectrum(
    name: OperatorName,
    kernel: np.ndarray | None,
    side: int,
    strength: float,
    draws: int,
    seed: int,
    other: np.ndarray | None = None,
    padding: Padding = "zero",
) -> np.ndarray:
    """Singular values of :func:`operator` on side × side images: all of them up to 32×32, the six largest above."""
    matrix = operator(
        name, kernel, size=(side, side), strength=strength, draws=draws, seed=seed, other=other, padding=padding
    )
    return singular_values(matrix) if side * side <= SVD_LIMIT else largest_singular_values(matrix)


def frequencies(size: int) -> np.ndarray:
    """The frequencies of an axis of ``size`` pixels in cycles/pixel, ascending, zero in the middle; float64 (size,)."""
    return np.fft.fftshift(np.fft.fftfreq(size))


def frequency_response(kernel: np.ndarray, height: int, width: int) -> np.ndarray:
    """How much of each spatial frequency a filter keeps: |DFT of the kernel|; float64 (H, W), frequency zero at the
    centre.

    With a border that wraps, the filter's matrix is circulant, and these are exactly its singular
    values. The attack's zero padding changes border rows only: its singular values are close to
    these, the closer the larger the image, but not the same.

    Args:
        kernel: float (k, k), k odd.
        height, width: of the image; taps beyond it wrap around.
    """
    reach = kernel.shape[0] // 2
    placed = np.zeros((height, width))
    i, j = np.indices(kernel.shape) - reach
    np.add.at(placed, (i % height, j % width), kernel)
    return np.abs(np.fft.fftshift(np.fft.fft2(placed)))


def coin_response(strength: float, height: int, width: int) -> np.ndarray:
    """What E[R] keeps of each spatial frequency; float64 (H, W), 0..1, frequency zero at the centre.

    With the paper's wrapping border E[R] is circulant, so these are exactly its singular values.
    """
    tall, wide = (np.abs(np.fft.fftshift(np.fft.fft(expected_axis(n, strength)[0]))) for n in (height, width))
    return np.outer(tall, wide)


# ---- parts and summaries ---------------------------------------------------------------------


@dataclass(frozen=True)
class Bands:
    """A sparse operator in numbers.

    Attributes:
        entries: how many are not zero.
        share: of all d² entries, 0..1.
        fewest, most: entries in a row.
        bandwidth: largest |row - column| of an entry.
        diagonals: how many diagonals hold an entry.
        least_sum, largest_sum: over the rows.
        norm: Frobenius norm; its square over d is the mean squared singular value.
    """

    entries: int
    share: float
    fewest: int
    most: int
    bandwidth: int
    diagonals: int
    least_sum: float
    largest_sum: float
    norm: float


def band_statistics(matrix: sparse.csr_matrix) -> Bands:
    """Count what is where."""
    counts = np.diff(matrix.indptr)
    d = matrix.shape[0]
    apart = matrix.indices.astype(np.int64) - np.repeat(np.arange(d), counts)
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    return Bands(
        entries=matrix.nnz,
        share=matrix.nnz / d**2,
        fewest=int(counts.min()),
        most=int(counts.max()),
        bandwidth=int(np.abs(apart).max()) if matrix.nnz else 0,
        diagonals=int(np.count_nonzero(np.bincount(apart + d, minlength=2 * d))),
        least_sum=float(sums.min()),
        largest_sum=float(sums.max()),
        norm=float(np.sqrt((matrix.data**2).sum())),
    )


def row_weights(matrix: sparse.csr_matrix, row: int, height: int, width: int) -> np.ndarray:
    """One row as a picture: the weight of every input pixel in output pixel ``row``; float64 (H, W)."""
    own = slice(matrix.indptr[row], matrix.indptr[row + 1])
    weights = np.zeros(height * width)
    np.add.at(weights, matrix.indices[own], matrix.data[own])
    return weights.reshape(height, width)


def local_kernel(matrix: sparse.csr_matrix, row: int, height: int, width: int) -> np.ndarray:
    """One row by displacement from its own pixel: what filter acts there; float64 (2r+1, 2r+1), the pixel at the
    centre.

    Distances are measured the short way round, across the border if that is nearer; r is the
    largest one, at least 1.
    """
    own = slice(matrix.indptr[row], matrix.indptr[row + 1])
    y, x = np.divmod(matrix.indices[own].astype(np.int64), width)
    dy = (y - row // width + height // 2) % height - height // 2
    dx = (x - row % width + width // 2) % width - width // 2
    reach = max(1, int(np.abs(dy).max(initial=0)), int(np.abs(dx).max(initial=0)))
    window = np.zeros((2 * reach + 1, 2 * reach + 1))
    np.add.at(window, (dy + reach, dx + reach), matrix.data[own])
    return window


def block_density(matrix: sparse.csr_matrix, blocks: int = 128) -> np.ndarray:
    """Share of entries that are not zero in each of at most blocks × blocks equal blocks; float64 (B, B), 0..1.

    B is the largest divisor of d that is at most ``blocks``.
    """
    d = matrix.shape[0]
    count = next(b for b in range(min(blocks, d), 0, -1) if d % b == 0)
    side = d // count
    rows = np.repeat(np.arange(d) // side, np.diff(matrix.indptr))
    filled = np.bincount(rows * count + matrix.indices // side, minlength=count * count)
    return filled.reshape(count, count) / side**2


def archive(matrix: LocalMatrix | sparse.csr_matrix) -> bytes:
    """The matrix as the bytes of a ``.npz`` that ``scipy.sparse.load_npz`` reads."""
    buffer = io.BytesIO()
    sparse.save_npz(buffer, matrix.sparse() if isinstance(matrix, LocalMatrix) else matrix)
    return buffer.getvalue()
