"""The npz format: round trip, what other programs write, and every way in which a file can be wrong."""

import io
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ued_core.data import read_npz, read_npz_json, write_npz
from ued_core.errors import DataError
from ued_core.records import ImageSet

texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=12)


@pytest.fixture
def arrays():
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    return {"images": images, "labels": np.array([0, 1, 2, 0, 1, 2], np.int64)}


def refuse(path, message):
    with pytest.raises(DataError, match=message):
        read_npz(path)


def save(path, arrays, **changes):
    np.savez(path, **{**arrays, **changes})
    return path


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_round_trip(tmp_path, data):
    count, height, width = (data.draw(st.integers(1, 6)) for _ in range(3))
    images = data.draw(hnp.arrays(np.uint8, (count, 3, height, width)))
    names = data.draw(st.lists(texts, min_size=1, max_size=5))
    labels = data.draw(hnp.arrays(np.int64, count, elements=st.integers(0, len(names) - 1)))
    recipe = data.draw(st.dictionaries(texts, st.one_of(st.none(), st.booleans(), st.integers(), texts)))
    before = ImageSet(torch.from_numpy(images), torch.from_numpy(labels), tuple(names), "set")
    write_npz(tmp_path / "set.npz", before, recipe=recipe)
    after = read_npz(tmp_path / "set.npz")
    assert torch.equal(after.images, before.images)
    assert after.images.is_contiguous()
    assert torch.equal(after.labels, before.labels)
    assert after.class_names == before.class_names
    assert after.name == "set"
    assert read_npz_json(tmp_path / "set.npz") == recipe


def test_numpy_reads_what_is_written(tmp_path, arrays):
    write_npz(tmp_path / "a.npz", read_npz(save(tmp_path / "b.npz", arrays)))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert np.array_equal(found["images"], arrays["images"])
        assert found["images"].dtype == np.uint8
        assert np.array_equal(found["labels"], arrays["labels"])
        assert found["labels"].dtype == np.int64
        assert found["class_names"].tolist() == ["0", "1", "2"]


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_writes_is_read(tmp_path, arrays, write, order):
    write(tmp_path / "a.npz", **{**arrays, "images": np.asarray(arrays["images"], order=order)})
    found = read_npz(tmp_path / "a.npz")
    assert np.array_equal(found.images.numpy(), arrays["images"].transpose(0, 3, 1, 2))
    assert found.class_names == ("0", "1", "2")
    assert read_npz_json(tmp_path / "a.npz") is None


def test_sets_larger_than_a_block_are_read_and_written_in_order(tmp_path, monkeypatch, arrays):
    monkeypatch.setattr("ued_core.data.npz._BLOCK", 130)
    found = read_npz(save(tmp_path / "a.npz", arrays))
    write_npz(tmp_path / "b.npz", found)
    assert np.array_equal(np.load(tmp_path / "b.npz")["images"], arrays["images"])


def test_equal_sets_give_equal_bytes(tmp_path, arrays):
    found = read_npz(save(tmp_path / "a.npz", arrays))
    write_npz(tmp_path / "b.npz", found, recipe={"x": 1, "y": 2})
    write_npz(tmp_path / "c.npz", found, recipe={"y": 2, "x": 1})
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "c.npz").read_bytes()


def test_class_names_of_the_file_are_used(tmp_path, arrays):
    path = save(tmp_path / "a.npz", arrays, class_names=np.array(["ant", "bee", "cat", "dog"]))
    assert read_npz(path).class_names == ("ant", "bee", "cat", "dog")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((6, 5, 4, 3), np.float32)}, "'images' in a.npz is float32"),
        ({"images": np.zeros((6, 5, 4), np.uint8)}, r"shape \(6, 5, 4\)"),
        ({"images": np.zeros((6, 3, 5, 4), np.uint8)}, r"shape \(6, 3, 5, 4\).*\(N, H, W, 3\)"),
        ({"images": np.zeros((6, 0, 4, 3), np.uint8)}, r"shape \(6, 0, 4, 3\)"),
        ({"images": np.zeros((5, 5, 4, 3), np.uint8)}, "has 5 images but 6 labels"),
        ({"images": np.array([None] * 6)}, "pickled Python objects"),
        ({"labels": np.zeros(6, np.int32)}, "'labels' in a.npz is int32"),
        ({"labels": np.zeros(6, ">i8")}, "'labels' in a.npz is >i8"),
        ({"labels": np.zeros((6, 1), np.int64)}, r"shape \(6, 1\)"),
        ({"labels": np.array([0, 1, -1, 0, 1, 2])}, "run from -1 to 2"),
        ({"labels": np.array([0, 1, 10**12, 0, 1, 2])}, "to 1000000000000"),
        ({"labels": np.array([object()] * 6)}, "pickled Python objects"),
        ({"labels": np.zeros(0, np.int64), "images": np.zeros((0, 5, 4, 3), np.uint8)}, "has no images"),
        ({"class_names": np.array(["a", "b"])}, "run from 0 to 2, but it names 2 classes"),
        ({"class_names": np.array([1, 2, 3])}, "must be unicode"),
        ({"class_names": np.array("abc")}, "must be unicode"),
        ({"class_names": np.array(["a", None, 3], object)}, "pickled Python objects"),
    ],
)
def test_wrong_arrays(tmp_path, arrays, changes, message):
    refuse(save(tmp_path / "a.npz", arrays, **changes), message)


def test_missing_keys_and_files(tmp_path, arrays):
    refuse(tmp_path / "none.npz", "There is no file")
    refuse(tmp_path, "There is no file")
    for key in arrays:
        np.savez(tmp_path / "a.npz", **{name: value for name, value in arrays.items() if name != key})
        refuse(tmp_path / "a.npz", f"has no array '{key}'")


def test_files_that_are_no_npz(tmp_path):
    for content in (b"", b"hello", b"PK\x03\x04 and so on"):
        (tmp_path / "a.npz").write_bytes(content)
        refuse(tmp_path / "a.npz", "not an npz file")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("images.npy", b"not an array")
        archive.writestr("labels.npy", b"not an array")
    refuse(tmp_path / "b.npz", "'labels' in b.npz is damaged")


def header(shape, dtype="|u1"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((6, 2**20, 2**20, 3), "claims 18,432.0 GiB; at most 8 GiB"),
        ((6, 2**62, 2**62, 3), "at most 8 GiB"),
        ((6, 500, 400, 3), "header claims .* bytes, but there are"),
        ((6, 2, 4, 3), "header claims .* bytes, but there are"),
    ],
)
def test_headers_that_claim_other_sizes(tmp_path, arrays, shape, message):
    labels = io.BytesIO()
    np.save(labels, arrays["labels"])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", header(shape) + arrays["images"].tobytes())
        archive.writestr("labels.npy", labels.getvalue())
    refuse(tmp_path / "a.npz", message)


def test_a_zip_directory_that_lies_with_the_header_is_caught_while_reading(tmp_path, arrays):
    """Header and directory agree on 600 MB that are not there: nothing is returned."""
    labels = io.BytesIO()
    np.save(labels, np.zeros(200, np.int64))
    head = header((200, 1000, 1000, 3))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("labels.npy", labels.getvalue())
        archive.writestr("images.npy", head + bytes(1000))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, len(head) + 200 * 3_000_000)
    (tmp_path / "a.npz").write_bytes(data)
    refuse(tmp_path / "a.npz", "'images' in a.npz is damaged")


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_files_that_are_cut_off(tmp_path, arrays, keep):
    whole = save(tmp_path / "a.npz", arrays).read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: int(keep * len(whole))])
    refuse(tmp_path / "a.npz", "cut off")


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_one_changed_byte_is_noticed(tmp_path, arrays, write):
    write(tmp_path / "a.npz", **arrays)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[len(data) // 3] ^= 0x55
    (tmp_path / "a.npz").write_bytes(data)
    refuse(tmp_path / "a.npz", "damaged")


def test_flipped_bytes_never_raise_anything_but_data_errors(tmp_path, arrays):
    rng = np.random.default_rng(0)
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", **arrays, class_names=np.array(["x", "y", "z"]))
        whole = np.frombuffer((tmp_path / "a.npz").read_bytes(), np.uint8)
        refused = 0
        for _ in range(150):
            data = whole.copy()
            where = rng.integers(0, len(data), 3)
            data[where] ^= rng.integers(1, 256, 3).astype(np.uint8)
            (tmp_path / "b.npz").write_bytes(data.tobytes())
            try:
                read_npz(tmp_path / "b.npz")
            except DataError:
                refused += 1
        assert refused > 100


def test_a_recipe_that_is_not_json(tmp_path, arrays):
    with pytest.raises(DataError, match="is not JSON"):
        read_npz_json(save(tmp_path / "a.npz", arrays, recipe=np.array("{")))
    with pytest.raises(DataError, match="must be one JSON text"):
        read_npz_json(save(tmp_path / "a.npz", arrays, recipe=np.array([1, 2])))


def test_writing_refuses_other_names_channels_and_reserved_keys(tmp_path, arrays):
    found = read_npz(save(tmp_path / "a.npz", arrays))
    grey = ImageSet(found.images[:, :1], found.labels, found.class_names, "grey")
    for path, images, extra in (("b.zip", found, {}), ("b.npz", grey, {}), ("b.npz", found, {"labels": 1})):
        with pytest.raises(DataError, match="cannot be written"):
            write_npz(tmp_path / path, images, **extra)
    assert not list(tmp_path.glob("*b.*"))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, arrays):
    found = read_npz(save(tmp_path / "a.npz", arrays))
    write_npz(tmp_path / "b.npz", found)
    old = (tmp_path / "b.npz").read_bytes()
    with pytest.raises(TypeError):
        write_npz(tmp_path / "b.npz", found, recipe=object())
    assert (tmp_path / "b.npz").read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a.npz", "b.npz"]
