"""The points of Features as a file for other programs, and how they open it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from pages.frame.provenance import ABOUT
from ued_core.records import ImageSet
from ued_core.studies.feature_room import FeatureView
from ued_core.studies.feature_table import feature_table

FILE = "features.parquet"
OPENED = f"""**Embedding Atlas**
```bash
embedding-atlas {FILE} --x x --y y --image image
```
**Spotlight**
```python
import pandas as pd
from renumics import spotlight

table = pd.read_parquet("{FILE}").drop(columns="image")
spotlight.show(table, dtype={{"thumbnail": spotlight.Image, "features": spotlight.Embedding}})
```
**FiftyOne**, which wants the pictures as files
```python
from pathlib import Path

import fiftyone as fo
import fiftyone.brain as fob
import pandas as pd

table = pd.read_parquet("{FILE}")
Path("images").mkdir(exist_ok=True)
samples = []
for one in table.itertuples():
    Path(one.filepath).write_bytes(one.thumbnail)
    samples.append(fo.Sample(
        filepath=str(Path(one.filepath).absolute()), tags=[one.copy],
        ground_truth=fo.Classification(label=one.label),
        prediction=fo.Classification(label=one.prediction, confidence=one.confidence),
    ))
data = fo.Dataset("features")
data.add_samples(samples)
fob.compute_visualization(data, method="manual", points=table[["x", "y"]].to_numpy(), brain_key="layout")
fo.launch_app(data)
```"""


def table_part(
    view: FeatureView, copies: Callable[[], Mapping[str, ImageSet]], names: Sequence[str], words: str
) -> None:
    """A button that hands the points with their pictures out, and how to open them.

    Args:
        view: what is shown.
        copies: makes the images of each copy; called when somebody takes the file.
        names: of the classes.
        words: what looked, for the file's metadata.
    """
    # In the reader's own session, before the file is asked for.
    about = st.session_state.get(ABOUT, "")
    with st.popover("Take these points along …", icon=":material/download:"):
        st.caption(
            "One row for each point: coordinates, class, copy, prediction, the numbers of the layer, and the picture."
        )
        st.download_button(
            FILE,
            lambda: feature_table(view, copies(), names, f"{words} {about}".strip()),
            FILE,
            "application/vnd.apache.parquet",
            key="features_parquet",
            on_click="ignore",
            icon=":material/download:",
        )
        st.markdown(OPENED)
