"""What pages say of the reader's pictures: how many they are, what was changed, and which figures are not of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import streamlit as st

from pages.frame.guard import plain
from pages.frame.hidden import seen
from ued_core.data import Dataset
from ued_core.records import DataSplit
from ued_core.results.measured import data_title

OTHER_DATA = ":material/swap_horiz: **Other data:**"
"""How every figure and table is marked that is not about the data that the reader chose."""
FEW_TESTS = 100
"""Below so many test images, one of them is more than a point of accuracy."""


def data_notes(dataset: Dataset, data: DataSplit) -> None:
    """One line that says what was loaded, with all that was skipped or changed behind it; nothing where there is
    nothing to say."""
    notes = [*data.notes, *([few] if (few := few_tests(data)) and dataset.upload else [])]
    if not notes:
        return
    with st.expander(_line(dataset, data, len(notes))):
        st.markdown("\n".join(f"- {plain(seen(note))}" for note in notes))


def _line(dataset: Dataset, data: DataSplit, count: int) -> str:
    said = f"{count} note{'s' * (count != 1)}: what was skipped or changed"
    if dataset.upload is None:
        return f"**{plain(dataset.title)}** · {said}"
    train, classes = len(data.train), data.train.classes
    _, height, width = data.train.shape
    said = f"{height} × {width} px · {said}"
    if for_looking(data):
        return f"**{plain(dataset.title)}:** {train:,} images to look at, not to train on · {said}"
    few = " · few to measure with" if few_tests(data) else ""
    return (
        f"**{plain(dataset.title)}:** {train:,} training and {len(data.test):,} test images in {classes:,} classes"
        f"{few} · {said}"
    )


def for_looking(data: DataSplit) -> bool:
    """Whether the same images stand in both parts, so that training on them would say nothing."""
    return data.train.content_hash == data.test.content_hash


def one_each_words(needing: str) -> str:
    """What to do where something compares images of the same class and :func:`for_looking` holds.

    Args:
        needing: what needs them, with its verb: ``Clusters need``.
    """
    return (
        f"{needing} several pictures per class, and here each picture is a class of its own. Upload a zip of a folder "
        "with one subfolder for each class, or choose another data set."
    )


def few_tests(data: DataSplit) -> str:
    """A warning where the test part is too small for a comparison; empty otherwise, and where nothing can be measured
    at all."""
    count = len(data.test)
    if count >= FEW_TESTS or for_looking(data):
        return ""
    number = f"There {'is' if count == 1 else 'are'} only {count} test image{'s' * (count != 1)}"
    return f"{number}: each is {100 / count:.0f} points of accuracy, so small differences mean nothing."


def other_data(dataset: Dataset, measured: Iterable[str] | Mapping[str, str]) -> None:
    """Mark what stands below as measured on other data than the reader's; nothing where it is the same.

    Args:
        dataset: the reader's choice.
        measured: names of the data sets that the figure or table is about; with titles where the catalogue has none.
    """
    if line := other_data_words(dataset, measured):
        st.caption(line)


def other_data_words(dataset: Dataset, measured: Iterable[str] | Mapping[str, str]) -> str:
    """The words of :func:`other_data`, in Markdown; empty where the figure is about the reader's data."""
    names = list(dict.fromkeys(measured))
    if not names or dataset.key in names:
        return ""
    titles = [measured[name] if isinstance(measured, Mapping) else data_title(name) for name in names]
    told = titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"
    return f"{OTHER_DATA} measured on {plain(told)}, not on {plain(dataset.title)}."
