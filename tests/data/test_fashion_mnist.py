"""All of Fashion-MNIST: where its four files are looked for, and that only the published content is taken."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
import torch
from torchvision import datasets

from ued_core.context import Context
from ued_core.data import DATASETS, fashion_mnist, load_split, origin_json
from ued_core.data.fashion import CLASS_NAMES, framed
from ued_core.data.fashion_mnist import DEBIAN, FashionMnist
from ued_core.errors import DataError, Unavailable
from ued_core.params import UPLOAD


def idx(array):
    return struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def published(monkeypatch, tmp_path):
    """Twelve and six images as if they were all: name → bytes of the unpacked file; Debian's package is not there."""
    rng = np.random.default_rng(0)
    files = {}
    for part, count in (("train", 12), ("t10k", 6)):
        files[f"{part}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        files[f"{part}-labels-idx1-ubyte"] = idx((np.arange(count) % 10).astype(np.uint8))
    for name, data in files.items():
        monkeypatch.setitem(fashion_mnist.MD5S, name, hashlib.md5(data).hexdigest())
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    # Nobody listens there: a download that is tried fails at once.
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    return files


def place(folder, files, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        if packed:
            # Another level of compression, so other bytes than the publisher's.
            (folder / f"{name}.gz").write_bytes(gzip.compress(data, 1))
        else:
            (folder / name).write_bytes(data)


def check(split, files):
    for part, found in (("train", split.train), ("t10k", split.test)):
        grey = np.frombuffer(files[f"{part}-images-idx3-ubyte"][16:], np.uint8).reshape(-1, 28, 28)
        assert torch.equal(found.images, framed(torch.from_numpy(grey.copy())))
        assert found.labels.tolist() == [i % 10 for i in range(len(grey))]
        assert found.class_names == CLASS_NAMES
        assert found.name == "fashion_mnist"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("below", ["", "raw", "FashionMNIST/raw"])
def test_from_a_path(published, tmp_path, packed, below):
    place(tmp_path / "mine" / below, published, packed)
    check(FashionMnist(path=str(tmp_path / "mine")).load(Context()), published)
    one = next((tmp_path / "mine" / below).iterdir())
    check(FashionMnist(path=str(one)).load(Context()), published)


def test_from_the_data_folder_as_torchvision_leaves_it(published, ued_home):
    place(ued_home / "data/FashionMNIST/raw", published, packed=False)
    check(FashionMnist(download=False).load(Context()), published)


def test_from_the_package_of_debian(published, ued_home):
    place(fashion_mnist.DEBIAN, published)
    check(load_split(FashionMnist(), Context()), published)
    assert not (ued_home / "data").exists(), "nothing was fetched or copied"


def test_a_damaged_copy_in_the_data_folder_gives_way_to_the_package(published, ued_home):
    place(ued_home / "data/FashionMNIST/raw", {name: data[:-1] for name, data in published.items()})
    place(fashion_mnist.DEBIAN, published)
    check(FashionMnist(download=False).load(Context()), published)


def test_by_download_what_is_missing(published, server, ued_home, monkeypatch):
    address, offered, asked = server
    raw = ued_home / "data/FashionMNIST/raw"
    place(raw, published)
    packed = {f"{name}.gz": gzip.compress(data) for name, data in published.items()}
    offered |= packed
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"{address}/"])
    resources = [(name, hashlib.md5(data).hexdigest()) for name, data in packed.items()]
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(b"half")
    (raw / "t10k-images-idx3-ubyte.gz").unlink()
    reports = []
    check(FashionMnist().load(Context(on_report=lambda *report: reports.append(report[2]))), published)
    assert sorted(asked) == ["/t10k-images-idx3-ubyte.gz", "/train-labels-idx1-ubyte.gz"]
    assert "Downloading t10k-images-idx3-ubyte.gz" in reports


def test_offline_the_message_names_files_folder_package_and_path(published, ued_home):
    for dataset in (FashionMnist(download=False), FashionMnist()):
        with pytest.raises(Unavailable) as caught:
            dataset.load(Context())
        for words in (*fashion_mnist.MD5S, "FashionMNIST/raw", str(ued_home / "data"), "dataset-fashion-mnist", "path"):
            assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "is not the published file: its content has the MD5"),
        (lambda data: data[:-5], "damaged or cut off"),
        (lambda data: b"hello", "no IDX file"),
    ],
)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_path_with_other_files_is_refused_and_nothing_else_is_taken(published, tmp_path, name, change, words):
    place(fashion_mnist.DEBIAN, published)
    place(tmp_path / "mine", {**published, name: change(published[name])})
    with pytest.raises(DataError, match=words) as caught:
        FashionMnist(path=str(tmp_path / "mine")).load(Context())
    assert name in str(caught.value)


def test_a_path_without_the_files_is_refused(published, tmp_path):
    with pytest.raises(DataError, match=r"There is no file train-images-idx3-ubyte or .*All four are needed"):
        FashionMnist(path=str(tmp_path)).load(Context())
    with pytest.raises(DataError, match="There is no file or folder"):
        FashionMnist(path=str(tmp_path / "gone")).load(Context())
    with pytest.raises(DataError, match="There is no upload"):
        FashionMnist(path=f"{UPLOAD}0123456789abcdef").load(Context())


def test_where_the_files_lie_is_no_part_of_the_identity(tmp_path):
    assert FashionMnist(path=str(tmp_path)).identity() == FashionMnist(download=False).identity()


def test_a_recipe_names_the_set_but_never_a_path(tmp_path):
    assert origin_json(FashionMnist(), "train")["dataset"]["name"] == "fashion_mnist"
    assert origin_json(FashionMnist(path=str(tmp_path)), "train") == {"part": "train"}


def test_the_licence_and_the_files_are_told():
    for words in ("60,000 training and 10,000 test images in 10 classes", "MIT", "t10k-labels-idx1-ubyte.gz"):
        assert words in DATASETS["fashion_mnist"].about()


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_files(ued_home):
    split = FashionMnist(path=str(DEBIAN)).load(Context())
    assert torch.bincount(split.train.labels).tolist() == [6000] * 10
    assert torch.bincount(split.test.labels).tolist() == [1000] * 10
    assert split.train.images.shape == (60_000, 3, 32, 32)
    shipped = DATASETS.build("fashion", train_size=100).load(Context()).train
    known = {image.numpy().tobytes() for image in split.train.images[:, 0]}
    assert all(image.numpy().tobytes() in known for image in shipped.images[:, 0])
