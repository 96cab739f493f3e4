"""Points with their pictures as Parquet, and the columns that other programs look for."""

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ued_core.errors import DataError
from ued_core.records import Embedding, ImageSet
from ued_core.studies.feature_room import CopyFeatures, FeatureView
from ued_core.studies.feature_table import CAPTION, feature_table


def shown(channels: int = 3) -> tuple[FeatureView, dict[str, ImageSet]]:
    """Two images in two copies; the second copy of the first image is taken for the other class."""
    labels = torch.tensor([0, 1])
    images = torch.arange(2 * channels * 4 * 5, dtype=torch.uint8).reshape(2, channels, 4, 5)
    copies = {
        "clean": ImageSet(images, labels, ("cat", "dog"), "set"),
        "poisoned": ImageSet(255 - images, labels, ("cat", "dog"), "set"),
    }
    look = CopyFeatures(
        np.arange(12, dtype=np.float32).reshape(4, 3), np.array([0, 1, 1, 1]), np.full(4, 0.5, np.float32), {}
    )
    embedding = Embedding(
        points=np.array([[0, 1], [2, 3], [4, 5], [6, 7]], np.float32),
        rows=np.array([7, 9, 7, 9]),
        labels=np.array([0, 1, 0, 1]),
        group=np.array(["clean", "clean", "poisoned", "poisoned"]),
        method="umap",
        source="reference",
    )
    return FeatureView(look, embedding, "stored"), copies


def test_pandas_reads_a_row_for_each_point() -> None:
    view, copies = shown()
    content = feature_table(view, copies, ("cat", "dog"), "α = 2, seed 0")
    table = pd.read_parquet(io.BytesIO(content))
    assert list(table["id"]) == ["000007-clean", "000009-clean", "000007-poisoned", "000009-poisoned"]
    assert (list(table["x"]), list(table["y"])) == ([0, 2, 4, 6], [1, 3, 5, 7])
    assert list(table["label"]) == ["cat", "dog", "cat", "dog"]
    assert list(table["prediction"]) == ["cat", "dog", "dog", "dog"]
    assert list(table["correct"]) == [True, True, False, True]
    assert [table[name].dtype.name for name in ("label", "copy", "prediction")] == ["category"] * 3
    assert list(table["features"][3]) == [9, 10, 11]
    assert pq.read_schema(io.BytesIO(content)).metadata[CAPTION].decode() == "α = 2, seed 0"


@pytest.mark.parametrize("channels", [1, 3])
def test_the_pictures_are_those_of_the_copies(channels: int) -> None:
    view, copies = shown(channels)
    table = pd.read_parquet(io.BytesIO(feature_table(view, copies, ("cat", "dog"), "")))
    for place, (name, row) in enumerate([("clean", 0), ("clean", 1), ("poisoned", 0), ("poisoned", 1)]):
        image = table["image"][place]
        assert set(image) == {"bytes", "path"}, "as Embedding Atlas and data sets of Hugging Face have it"
        assert image["bytes"] == table["thumbnail"][place], "plain bytes for Spotlight"
        assert image["path"] == table["filepath"][place] == f"images/{table['id'][place]}.png"
        pixels = np.asarray(Image.open(io.BytesIO(image["bytes"])))
        expected = copies[name].images[row].numpy().transpose(1, 2, 0)
        assert np.array_equal(pixels if channels == 3 else pixels[..., None], expected)


def test_other_images_are_refused() -> None:
    view, copies = shown()
    with pytest.raises(DataError, match="4 points"):
        feature_table(view, {"clean": copies["clean"]}, ("cat", "dog"), "")
