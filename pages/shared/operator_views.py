"""Kernels as numbers and as matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
import torch

from pages.shared.cache import cached
from pages.shared.controls import parameter_control
from pages.shared.live_chart import live_chart
from pages.shared.tile_rows import tile_rows
from ued_core.figures.operators import matrix_heatmap, matrix_pattern
from ued_core.figures.theme import ROLE_COLOURS
from ued_core.params import Parameter
from ued_core.theory import LocalMatrix, convolution_matrix

SIZES = {"6 × 6": 6, "8 × 8": 8, "16 × 16": 16, "32 × 32": 32}
AROUND = 22
MARK = ROLE_COLOURS["poisoned"]


def kernel_table(kernels: np.ndarray, names: Sequence[str]) -> None:
    """Numbers that tell the kernels apart: total weight, share beside the unit tap, place of the unit tap."""
    flat = kernels.reshape(len(kernels), -1)
    k = kernels.shape[1]
    peaks = flat.argmax(1)
    frame = pd.DataFrame(
        {
            "class": list(names),
            "sum of weights": flat.sum(1),
            "share beside the 1": 1 - flat.max(1) / flat.sum(1),
            "row of the 1": peaks // k - k // 2,
            "column of the 1": peaks % k - k // 2,
        }
    )
    with st.expander("The kernels in numbers"):
        st.dataframe(
            frame,
            hide_index=True,
            column_config={
                "sum of weights": st.column_config.NumberColumn(
                    format="%.3f", help="Divided out again: each image is scaled to its own maximum."
                ),
                "share beside the 1": st.column_config.NumberColumn(format="%.3f", help="Near 0: sharp. Near 1: strong blur."),
                "row of the 1": st.column_config.NumberColumn(help="0 is the middle; other values shift the image."),
            },
        )
        st.download_button("Kernels as CSV", _csv(kernels, names), "kernels.csv", "text/csv")


def _csv(kernels: np.ndarray, names: Sequence[str]) -> str:
    c, i, j = np.indices(kernels.shape).reshape(3, -1)
    frame = pd.DataFrame({"class": np.array(names)[c], "row": i, "column": j, "weight": kernels.ravel()})
    return frame.to_csv(index=False)


@cached(max_entries=32)
def _matrix(kernel: np.ndarray, side: int) -> LocalMatrix:
    return convolution_matrix(kernel, side, side)


def matrix_panel(kernel: np.ndarray, name: str, image: torch.Tensor) -> None:
    """The convolution of one class as a matrix: whole pattern, and the part around one pixel.

    Args:
        kernel: float (k, k).
        name: of the class.
        image: uint8 (1, C, H, W), an image of the class, for the picture of the chosen pixel.
    """
    st.subheader(f"The same filter as a matrix: {name}")
    st.markdown(
        r"Write the image as one long vector $x$; then the filter is a matrix and the poisoned image is $y = A_k\,x$. "
        "**Each row shows which input pixels one output pixel mixes:** at most k² of them, always at the same distances, "
        "so the matrix is a few parallel diagonals, in blocks (doubly block Toeplitz). Drag to zoom, double-click to go back."
    )
    label = st.segmented_control("Image size of the picture", list(SIZES), default="8 × 8", key="matrix_size", required=True)
    side = SIZES[label]
    matrix = _matrix(kernel, side)
    pixel = Parameter(
        name="pixel", label="output pixel", kind="int", default=side * (side // 2) + side // 2, minimum=0, maximum=side * side - 1
    )
    row = parameter_control(pixel, key=f"pixel{side}", default=pixel.default)
    sparse = matrix.sparse().tocoo()
    filled = sparse.nnz / matrix.size**2
    whole = side <= 16
    left, right = (st.container(), st.container()) if whole else st.columns([1, 1])
    with left:
        if whole:
            figure = matrix_heatmap(matrix.dense(), 0, 0, numbers=side <= 6)
            figure.add_hline(y=row, line={"color": MARK, "width": 1.5})
        else:
            figure = matrix_pattern(sparse.row, sparse.col, sparse.data, matrix.size, row)
        live_chart(
            figure,
            key="matrix",
            height=560 if whole else 460,
            alt=f"Convolution matrix of class {name} for {label} images: {sparse.nnz} non-zero entries on parallel diagonals.",
            filename=f"matrix_{name}_{side}",
        )
        st.caption(
            f"{matrix.size} × {matrix.size} entries, {sparse.nnz:,} of them not zero ({100 * filled:.2g} %). Marked: output pixel {row}."
        )
    with right:
        if not whole:
            _block(matrix, row, name)
        y, x = divmod(row, side)
        taps = int((matrix.columns[row] >= 0).sum())
        missing = kernel.size - taps
        border = f" {missing} of its taps fall off the image: beyond the border lies zero, which darkens the frame." if missing else ""
        st.markdown(f"**Output pixel {row}** is row {y}, column {x} of the image and mixes {taps} input pixels.{border}")
        if side == image.shape[-1]:
            _mark(image, matrix, row, name)


def _block(matrix: LocalMatrix, row: int, name: str) -> None:
    """The part of a large matrix around one row, as cells."""
    rows = slice(max(0, row - AROUND // 2), row + AROUND // 2 + 1)
    columns = slice(max(0, row - matrix.width - AROUND // 2), row + matrix.width + AROUND // 2)
    figure = matrix_heatmap(matrix.sparse()[rows, columns].toarray(), rows.start, columns.start)
    figure.add_hline(y=row, line={"color": MARK, "width": 1.5})
    figure.update_yaxes(scaleanchor=None)
    live_chart(figure, key="matrix_block", height=460, alt=f"The matrix of class {name} around row {row}.", filename=f"block_{name}_{row}")
    st.caption("The rows around the marked one, cell by cell.")


def _mark(image: torch.Tensor, matrix: LocalMatrix, row: int, name: str) -> None:
    """The image with the mixed pixels lit."""
    weights = np.zeros(matrix.size, np.float32)
    own = matrix.columns[row] >= 0
    np.add.at(weights, matrix.columns[row][own], matrix.weights[row][own])
    light = 0.35 + 0.65 * (weights.reshape(image.shape[-2:]) > 0)
    lit = (image.float() * torch.from_numpy(light)).to(torch.uint8)
    tile_rows(
        [("image", "mixed pixels lit", torch.cat([image, lit]))],
        alt=f"An image of class {name} and the pixels that output pixel {row} mixes.",
        key="mixed",
    )
