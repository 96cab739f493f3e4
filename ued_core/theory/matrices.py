"""Convolution and COIN as matrices that act on the pixels of one channel.

Pixels are numbered row by row: pixel (y, x) of an H×W image is entry y·W + x. Every matrix
here is local (few entries per row, near the diagonal), so it is held as a stencil; dense
matrices are for pictures of small images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from ued_core.border import Boundary
from ued_core.errors import DataError, ParameterError

Padding = Literal["zero", "reflect"]
DENSE_LIMIT = 4096


@dataclass(frozen=True)
class LocalMatrix:
    """A d×d matrix with a fixed number of stored entries per row, d = height·width.

    Attributes:
        columns: int64 (d, K), column of each entry; -1 where the entry falls off the image.
        weights: float64 (d, K), its value; 0 where the column is -1.
        height, width: size of the image it acts on.

    Two entries of a row may share a column; their weights add up.
    """

    columns: np.ndarray
    weights: np.ndarray
    height: int
    width: int

    @property
    def size(self) -> int:
        """Number of pixels d."""
        return self.height * self.width

    def sparse(self) -> sparse.csr_matrix:
        """scipy CSR, float64 (d, d), entries of equal column summed, zeros left out."""
        keep = (self.columns >= 0) & (self.weights != 0)
        rows = np.repeat(np.arange(self.size), self.columns.shape[1]).reshape(self.columns.shape)
        matrix = sparse.coo_matrix((self.weights[keep], (rows[keep], self.columns[keep])), shape=(self.size, self.size))
        return matrix.tocsr()

    def dense(self) -> np.ndarray:
        """float64 (d, d).

        Raises:
            DataError: d is above 4096; the picture would need more than 128 MB.
        """
        if self.size > DENSE_LIMIT:
            raise DataError(
                f"A dense matrix for {self.height}×{self.width} images has {self.size}² entries; the limit is "
                f"{DENSE_LIMIT}².",
                "Use sparse(), or a smaller image.",
            )
        return self.sparse().toarray()

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Multiply every channel: float (..., H, W) → float64 (..., H, W)."""
        flat = np.asarray(images, dtype=np.float64).reshape(-1, self.size)
        return (self.sparse() @ flat.T).T.reshape(images.shape)

    def after(self, first: LocalMatrix) -> LocalMatrix:
        """The product self · first: ``first`` acts on the image, then this matrix."""
        if (self.height, self.width) != (first.height, first.width):
            raise DataError(
                f"A {self.height}×{self.width} matrix cannot follow one for {first.height}×{first.width} images."
            )
        safe = np.maximum(self.columns, 0)
        columns = first.columns[safe].reshape(self.size, -1)
        weights = (self.weights[:, :, None] * first.weights[safe]).reshape(self.size, -1)
        gone = (self.columns[:, :, None] < 0) | (first.columns[safe] < 0)
        gone = gone.reshape(self.size, -1)
        return LocalMatrix(np.where(gone, -1, columns), np.where(gone, 0.0, weights), self.height, self.width)


def convolution_matrix(kernel: np.ndarray, height: int, width: int, padding: Padding = "zero") -> LocalMatrix:
    """The doubly block Toeplitz matrix of a convolution.

    Args:
        kernel: float (k, k), k odd, in the orientation of torch's ``conv2d``.
        height, width: image size.
        padding: ``zero`` drops what falls off the image, ``reflect`` reads it mirrored at the border pixel
            (then the rows at the border are not Toeplitz any more).

    Raises:
        DataError: the kernel is not square with odd side, or reaches too far to be reflected.
    """
    kernel = np.asarray(kernel, dtype=np.float64)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
        raise DataError(f"The kernel has shape {kernel.shape}, but it must be square with an odd side.")
    reach = kernel.shape[0] // 2
    dy, dx = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij")
    y, x = np.divmod(np.arange(height * width), width)
    rows, columns = y[:, None] + dy.ravel(), x[:, None] + dx.ravel()
    if padding == "reflect":
        if reach >= min(height, width):
            raise DataError(
                f"A {len(kernel)}×{len(kernel)} kernel cannot reflect {height}×{width} images.",
                "Take a smaller kernel, larger images, or zero padding.",
            )
        rows, columns = (n - 1 - np.abs(n - 1 - np.abs(at)) for at, n in ((rows, height), (columns, width)))
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return LocalMatrix(
        np.where(inside, rows * width + columns, -1), np.where(inside, kernel.ravel(), 0.0), height, width
    )


def fold(low: np.ndarray, fraction: np.ndarray, size: int, boundary: Boundary) -> tuple[np.ndarray, np.ndarray]:
    """Both neighbours, inside 0..size-1, of positions given as floor and fraction.

    The rule is that of :func:`ued_core.displacement.displace`; a test holds the two together.
    """
    if boundary == "periodic":
        return low % size, (low + 1) % size
    if boundary != "scipy_wrap":
        raise ParameterError(f"The boundary is {boundary!r}, but it must be 'periodic' or 'scipy_wrap'.")
    outside = (low < 0) | (low > size - 1) | ((low == size - 1) & (fraction > 0))
    edge = (low < 0) & (fraction == 0)
    low = np.where(outside, low % max(size - 1, 1), low)
    low = np.where(edge & (low == 0), size - 1, low)
    return low, np.minimum(low + 1, size - 1)


def coin_matrix(dx: np.ndarray, dy: np.ndarray, boundary: Boundary = "periodic") -> LocalMatrix:
    """COIN with the given displacements as a matrix with four entries per row; rows sum to one.

    Args:
        dx, dy: float (H, W), displacement along columns and rows, in pixels.
        boundary: as in :func:`ued_core.displacement.displace`.

    Source:
        COIN, arXiv 2311.18403: the transform is left-multiplication with a random sparse matrix.
    """
    height, width = dx.shape
    y, x = np.mgrid[:height, :width]
    fx, fy = dx - np.floor(dx), dy - np.floor(dy)
    left, right = fold(x + np.floor(dx).astype(np.int64), fx, width, boundary)
    top, bottom = fold(y + np.floor(dy).astype(np.int64), fy, height, boundary)
    columns = np.stack([top * width + left, top * width + right, bottom * width + left, bottom * width + right], -1)
    weights = np.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], -1)
    d = height * width
    return LocalMatrix(columns.reshape(d, 4), weights.reshape(d, 4).astype(np.float64), height, width)


def expected_axis(size: int, strength: float, boundary: Boundary = "periodic") -> np.ndarray:
    """COIN along one axis on average over all draws; float64 (size, size), rows sum to one.

    The displacement is uniform on (-α, α) and the weights are linear in its fraction, so within one
    cell between two pixels the mean is the integral of a polynomial. Rows and columns are displaced
    independently: the mean of the whole matrix is the Kronecker product of two of these.

    Args:
        size: side length n.
        strength: α ≥ 0, in pixels.
        boundary: as in :func:`ued_core.displacement.displace`.
    """
    if strength == 0:
        return np.eye(size)
    mean = np.zeros((size, size))
    p = np.arange(size)
    for cell, (mass, first, _) in cell_moments(strength):
        low, high = fold(p + cell, np.full(size, 0.5), size, boundary)
        np.add.at(mean, (p, low), mass - first)
        np.add.at(mean, (p, high), first)
    return mean


def cell_moments(strength: float) -> Iterator[tuple[int, tuple[float, float, float]]]:
    """The cells between two pixels that a displacement from U(-α, α), α > 0, can fall into.

    Yields:
        The displacement's floor, and E[1; cell], E[fraction; cell], E[fraction²; cell].
    """
    for cell in range(int(np.floor(-strength)), int(np.ceil(strength))):
        a, b = max(-strength - cell, 0.0), min(strength - cell, 1.0)
        mass, first, square = ((b**e - a**e) / e / (2 * strength) for e in (1, 2, 3))
        yield cell, (mass, first, square)
