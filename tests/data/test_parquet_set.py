"""Parquet files with encoded images, as the hubs store them."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ued_core.context import Context
from ued_core.data.parquet_set import Parquet
from ued_core.errors import DataError

RNG = np.random.default_rng(0)


def encoded(array, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


def pictures(count, size=(16, 16)):
    return [RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]


def write(path, images, labels, names=("cat", "owl"), image="image", label="label", struct=True):
    cells = [None if one is None else one if isinstance(one, bytes) else encoded(one) for one in images]
    column = pa.array([{"bytes": cell, "path": None} for cell in cells]) if struct else pa.array(cells, pa.binary())
    table = pa.table({image: column, label: pa.array(labels, pa.int64())})
    if names:
        info = {"info": {"features": {image: {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({b"huggingface": json.dumps(info).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def load(path, **values):
    return Parquet(path=str(path), **values).load(Context())


@pytest.mark.parametrize("struct", [True, False])
@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("img", "fine_label")])
def test_one_file(tmp_path, struct, image, label):
    made = pictures(20)
    split = load(
        write(tmp_path / "a.parquet", made, [i % 2 for i in range(20)], image=image, label=label, struct=struct)
    )
    assert (len(split.train), len(split.test), split.train.class_names) == (16, 4, ("cat", "owl"))
    whole, _ = Parquet(path=str(tmp_path / "a.parquet")).whole("train", Context())
    assert np.array_equal(whole.images.numpy(), np.stack(made).transpose(0, 3, 1, 2))


def test_shards_and_parts_by_the_names_of_the_files(tmp_path):
    made = [pictures(5) for _ in range(4)]
    for number in range(2):
        write(tmp_path / "data" / f"train-{number:05}-of-00002-abc.parquet", made[number], [0, 1, 0, 1, 1])
    write(tmp_path / "data" / "validation-00000-of-00001.parquet", made[2], [0, 1, 0, 1, 1])
    assert len(load(tmp_path).test) == 5, "validation where there is no test"
    write(tmp_path / "data" / "test-00000-of-00001.parquet", made[3], [1, 1, 1, 1, 0])
    split = load(tmp_path)
    assert np.array_equal(split.train.images.numpy(), np.stack([*made[0], *made[1]]).transpose(0, 3, 1, 2)), (
        "shards in their order"
    )
    assert (split.test.labels.tolist(), len(split.train)) == ([1, 1, 1, 1, 0], 10)
    unread = "Skipped 1: neither the training nor the test part (validation-00000-of-00001.parquet)."
    assert unread in split.notes, "what is not read is said"
    assert len(load(tmp_path / "data" / "train-00001-of-00002-abc.parquet", test_path=str(tmp_path)).train) == 5, (
        "one file is taken alone"
    )
    (tmp_path / "data" / "train-00000-of-00002-abc.parquet").unlink()
    with pytest.raises(DataError, match="train has 2 shards, but number 0 is not there"):
        load(tmp_path)


def test_names_are_numbers_where_the_schema_has_none(tmp_path):
    assert load(write(tmp_path / "a.parquet", pictures(8), [0, 2] * 4, names=None)).train.class_names == ("0", "1", "2")


def test_sizes(tmp_path):
    mixed = [*pictures(4), *pictures(4, (20, 30))]
    write(tmp_path / "a.parquet", mixed, [0, 1] * 4)
    with pytest.raises(DataError, match=r"several sizes .*Choose a size"):
        load(tmp_path / "a.parquet")
    split = load(tmp_path / "a.parquet", size=12)
    assert split.train.shape == (3, 12, 12)
    assert any("12 × 12" in note for note in split.notes), split.notes
    write(tmp_path / "b.parquet", pictures(4, (20, 30)), [0, 1] * 2)
    with pytest.raises(DataError, match="30 × 20, not square"):
        load(tmp_path / "b.parquet")


def test_rows_that_cannot_be_used_are_said(tmp_path):
    images = [*pictures(8), None, b"no picture", *pictures(2)]
    split = load(write(tmp_path / "a.parquet", images, [0, 1] * 4 + [0, 1, -1, None]))
    assert len(split.train) + len(split.test) == 8
    text = " ".join(split.notes)
    for words in ("no image", "no label", "row 9"):
        assert words in text, text
    with pytest.raises(DataError, match="No image in b.parquet can be used"):
        load(write(tmp_path / "b.parquet", [b"x", None], [0, 1]))
    table = pa.table({"image": pa.array([{"bytes": None, "path": "a.png"}]), "label": pa.array([0])})
    pq.write_table(table, tmp_path / "c.parquet")
    with pytest.raises(DataError, match="names the image by a path and does not hold it"):
        load(tmp_path / "c.parquet")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"text": ["a"], "label": [0]}, "no column 'image'"),
        ({"image": [b"x"], "name": [0]}, "no column 'label'"),
        ({"image": ["text"], "label": [0]}, "not stored as bytes"),
        ({"image": [b"x"], "label": ["cat"]}, "label is 'cat', but it must be a whole number"),
        ({"image": [b"x"], "label": [1.5]}, "label is 1.5"),
        ({"image": [b"x"], "label": [10**9]}, "label is 1000000000"),
    ],
)
def test_tables_that_hold_no_labelled_images(tmp_path, table, words):
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=words):
        load(tmp_path / "a.parquet")


def test_damaged_files(tmp_path):
    whole = write(tmp_path / "a.parquet", pictures(30), [0, 1] * 15).read_bytes()
    refused = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        broken = bytearray(whole[: rng.integers(0, len(whole))] if seed % 3 == 0 else whole)
        for _ in range(seed % 7):
            if broken:
                broken[rng.integers(0, len(broken))] = rng.integers(0, 256)
        (tmp_path / "b.parquet").write_bytes(broken)
        try:
            load(tmp_path / "b.parquet")
        except DataError:
            refused += 1
    assert refused > 20
    for text, words in (("", "No file is given"), ("none.parquet", "There is no file"), ("empty", "no Parquet files")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(DataError, match=words):
            Parquet(path=str(tmp_path / text) if text else "").load(Context())


def test_labels_of_the_names(tmp_path):
    with pytest.raises(DataError, match="run from 0 to 2, but it names 2 classes"):
        load(write(tmp_path / "a.parquet", pictures(8), [0, 2] * 4))
    test = write(tmp_path / "t.parquet", pictures(2), [1, 0], names=None)
    split = load(write(tmp_path / "b.parquet", pictures(8), [0, 1] * 4), test_path=str(test))
    assert split.test.class_names == ("cat", "owl")
    assert torch.equal(split.test.labels, torch.tensor([1, 0]))
