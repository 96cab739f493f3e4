"""Kernels as numbers, and the class whose kernel is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from pages.widgets.controls import parameter_control
from ued_core.csv_export import csv_text
from ued_core.params import Parameter


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
                "share beside the 1": st.column_config.NumberColumn(
                    format="%.3f", help="Near 0: sharp. Near 1: strong blur."
                ),
                "row of the 1": st.column_config.NumberColumn(help="0 is the middle; other values shift the image."),
            },
        )
        st.download_button("Kernels as CSV", _csv(kernels, names), "kernels.csv", "text/csv")


def _csv(kernels: np.ndarray, names: Sequence[str]) -> str:
    c, i, j = np.indices(kernels.shape).reshape(3, -1)
    frame = pd.DataFrame({"class": np.array(names)[c], "row": i, "column": j, "weight": kernels.ravel()})
    return csv_text(frame)


def class_control(names: Sequence[str], *, key: str, label: str, first: int = 0) -> int:
    """Pick a class; kept from page to page and in the address."""
    known = Parameter(name=key, label=label, kind="choice", default=names[first], choices=tuple(names))
    return list(names).index(parameter_control(known, key=key, default=known.default))
