"""What a network sees of copies of images as one Parquet file, for programs that show points with their pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ued_core.errors import DataError
from ued_core.records import ImageSet
from ued_core.studies.feature_room import FeatureView

CAPTION = b"caption"
"""The key of the words in the file's own metadata."""


def feature_table(view: FeatureView, copies: Mapping[str, ImageSet], names: Sequence[str], caption: str) -> bytes:
    """A Parquet file with a row for each copy of each image.

    Columns: ``id``; ``x`` and ``y`` of the layout; ``label``, ``copy`` and ``prediction`` as categories, ``confidence``
    0..1, ``correct``; ``row`` in the training set; ``image`` as bytes and path, the way in which data sets of Hugging
    Face hold one and Embedding Atlas reads it; ``thumbnail``, the same PNG as plain bytes, for Spotlight; ``filepath``,
    the name under which FiftyOne finds it once it is written there; ``features``, float32 numbers of the layer.

    Args:
        view: features and layout.
        copies: name of the copy → its images, in the order of the view.
        names: of the classes.
        caption: what it is, kept in the file's metadata.

    Raises:
        DataError: the copies are not those of the view.
    """
    # Half a second, and only who takes the table along needs it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    embedding, look = view.embedding, view.look
    count = len(embedding.points)
    pictures = [png for own in copies.values() for png in map(_png, own.images.numpy())]
    order = [name for name, own in copies.items() for _ in range(len(own))]
    if order != embedding.group.tolist():
        raise DataError(
            f"The layout shows {count} points of {', '.join(dict.fromkeys(embedding.group.tolist()))}, but there are "
            f"{len(order)} images of {', '.join(copies)}."
        )
    ids = [f"{row:06d}-{name}" for row, name in zip(embedding.rows.tolist(), order, strict=True)]
    paths = [f"images/{name}.png" for name in ids]
    held = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "id": pa.array(ids),
        "x": pa.array(embedding.points[:, 0].astype(np.float32)),
        "y": pa.array(embedding.points[:, 1].astype(np.float32)),
        "label": _category(embedding.labels, names),
        "copy": pa.array(order).dictionary_encode(),
        "prediction": _category(look.predictions, names),
        "confidence": pa.array(look.confidence.astype(np.float32)),
        "correct": pa.array(look.predictions == embedding.labels),
        "row": pa.array(embedding.rows.astype(np.int64)),
        "image": pa.array([{"bytes": p, "path": where} for p, where in zip(pictures, paths, strict=True)], type=held),
        "thumbnail": pa.array(pictures, type=pa.binary()),
        "filepath": pa.array(paths),
        "features": pa.array(list(look.vectors.astype(np.float32)), type=pa.list_(pa.float32())),
    }
    table = pa.table(columns).replace_schema_metadata({CAPTION: caption.encode()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _category(numbers: np.ndarray, names: Sequence[str]) -> Any:
    import pyarrow as pa

    # A network of more classes than the data set may answer one that has no name.
    return pa.array([names[k] if k < len(names) else f"class {k}" for k in numbers.tolist()]).dictionary_encode()


def _png(image: np.ndarray) -> bytes:
    """uint8 (C, H, W) as a file."""
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
