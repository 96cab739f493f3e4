"""What Unlearnable Clusters does to those who train: as reported, and as measured here."""

from __future__ import annotations

import streamlit as st

from pages.shared.cache import cached
from pages.shared.controls import segments
from pages.shared.live_chart import live_chart
from pages.shared.navigation import script
from ued_core.analysis.reported import ReportedRow, reported
from ued_core.figures.clusters import across_data, data_map
from ued_core.figures.results import map_height

SOURCE = "UC slides, Table 1"


def effect_part() -> None:
    """The protocols of the paper."""
    st.subheader("5 · What does it do to those who train?")
    reported_part()


# ---- reported ------------------------------------------------------------------------------------


@cached(max_entries=1)
def _reported() -> tuple[ReportedRow, ...]:
    return tuple(row for row in reported() if row.source.title == SOURCE)


def reported_part() -> None:
    """The paper's main table."""
    rows = _reported()
    models = {row.model.key: row.model.label for row in rows}
    st.markdown(
        "**Reported, not measured here.** The authors' encoders are ResNet-50 (UC) and CLIP (UC-CLIP), both pre-trained on large data; the "
        "embedded proxy is neither."
    )
    model = segments("Network that was trained", models, key="reported_model", default=next(iter(models)))
    own = [row for row in rows if row.model.key == model]
    cells = across_data(own)
    live_chart(
        data_map(cells),
        key="cluster_reported",
        height=map_height(cells),
        alt="; ".join(f"{row.dataset.label}, {row.attack.label}: {100 * row.test_accuracy:.1f} %" for row in own),
        filename="uc_reported",
        question="How much do models learn from images whose labels the protector did not know?",
        formula="clean test accuracy after training on poisoned images (%)",
        caption=f"Bright is learnable; **read down a column**. Source: **{own[0].source.title}** ({own[0].source.kind}; "
        f"{own[0].source.where}). {own[0].source.note}",
    )
    st.page_link(script("results.py"), label="All reported and measured results →")
