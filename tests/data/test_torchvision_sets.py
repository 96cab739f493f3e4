"""CIFAR and SVHN from small files in the published layout, and downloads from a local server."""

import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
import scipy.io
import torch
from torchvision import datasets

from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.data.download import fetch
from ued_core.data.torchvision_sets import Cifar10, Cifar100, Stl10, Svhn
from ued_core.errors import Cancelled, Unavailable


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def batch(count, seed, key="labels"):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
    return {"data": data, key: rng.integers(0, 10, count).tolist()}


def tar(folder, files):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture
def cifar10(monkeypatch):
    """Fifty and ten images in CIFAR-10's layout: the batches and the bytes of the archive."""
    batches = {name: batch(10, seed) for seed, (name, _) in enumerate(datasets.CIFAR10.train_list)}
    batches |= {"test_batch": batch(10, 9)}
    files = {name: pickle.dumps(content) for name, content in batches.items()}
    files["batches.meta"] = pickle.dumps({"label_names": [f"kind {index}" for index in range(10)]})
    archive = tar(datasets.CIFAR10.base_folder, files)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive))
    for name in ("train_list", "test_list"):
        listed = [[file, md5(files[file])] for file, _ in getattr(datasets.CIFAR10, name)]
        monkeypatch.setattr(datasets.CIFAR10, name, listed)
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": md5(files["batches.meta"])})
    return batches, files, archive


def data_folder(home):
    folder = home / "data"
    folder.mkdir(parents=True)
    return folder


def seen(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def check_cifar10(split, batches):
    train = np.concatenate([batches[f"data_batch_{index}"]["data"] for index in range(1, 6)])
    assert np.array_equal(split.train.images.numpy(), train.reshape(-1, 3, 32, 32))
    assert np.array_equal(split.test.images.numpy(), batches["test_batch"]["data"].reshape(-1, 3, 32, 32))
    assert split.test.labels.tolist() == batches["test_batch"]["labels"]
    assert split.train.class_names[3] == "kind 3"
    assert split.train.name == "cifar10"


def test_cifar10_from_its_unpacked_folder(cifar10, ued_home):
    batches, files, _ = cifar10
    folder = data_folder(ued_home) / datasets.CIFAR10.base_folder
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    check_cifar10(Cifar10(download=False).load(Context()), batches)


def test_cifar10_from_the_archive_that_a_user_placed(cifar10, ued_home):
    batches, _, archive = cifar10
    folder = data_folder(ued_home)
    (folder / datasets.CIFAR10.filename).write_bytes(archive)
    check_cifar10(Cifar10(download=False).load(Context()), batches)
    assert seen(folder) == [datasets.CIFAR10.base_folder, datasets.CIFAR10.filename]


def test_an_incomplete_folder_is_replaced_from_the_archive(cifar10, ued_home):
    batches, _, archive = cifar10
    folder = data_folder(ued_home)
    (folder / datasets.CIFAR10.filename).write_bytes(archive)
    (folder / datasets.CIFAR10.base_folder).mkdir()
    (folder / datasets.CIFAR10.base_folder / "data_batch_1").write_bytes(b"half")
    check_cifar10(Cifar10(download=False).load(Context()), batches)


def test_cifar10_by_download_with_progress_then_from_the_cache(cifar10, server, ued_home, monkeypatch):
    batches, _, archive = cifar10
    address, offered, asked = server
    offered["c.tar.gz"] = archive
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{address}/c.tar.gz")
    reports = []
    check_cifar10(load_split(Cifar10(), Context(on_report=lambda *report: reports.append(report))), batches)
    assert (len(archive), len(archive), f"Downloading {datasets.CIFAR10.filename}") in reports
    check_cifar10(load_split(Cifar10(download=False), Context()), batches)
    Cifar10().load(Context())
    assert asked == ["/c.tar.gz"]


def test_cifar100_uses_the_fine_labels(ued_home, monkeypatch):
    source = datasets.CIFAR100
    batches = {"train": batch(12, 1, "fine_labels"), "test": batch(5, 2, "fine_labels")}
    files = {name: pickle.dumps(content) for name, content in batches.items()}
    files["meta"] = pickle.dumps({"fine_label_names": [f"fine {index}" for index in range(100)]})
    folder = data_folder(ued_home) / source.base_folder
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    for name in ("train", "test"):
        monkeypatch.setattr(source, f"{name}_list", [[name, md5(files[name])]])
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": md5(files["meta"])})
    split = Cifar100(download=False).load(Context())
    assert split.train.classes == 100
    assert split.train.class_names[42] == "fine 42"
    assert split.train.labels.tolist() == batches["train"]["fine_labels"]


@pytest.fixture
def svhn(monkeypatch):
    files, labels = {}, {"train": [10, 1, 2, 10, 9], "test": [10, 3, 4]}
    images = {}
    for seed, part in enumerate(("train", "test")):
        count = len(labels[part])
        images[part] = np.random.default_rng(seed).integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        file = io.BytesIO()
        scipy.io.savemat(file, {"X": images[part], "y": np.array(labels[part], np.uint8)[:, None]})
        files[part] = file.getvalue()
    parts = {
        part: [url, name, md5(files[part]) if part in files else checksum]
        for part, (url, name, checksum) in datasets.SVHN.split_list.items()
    }
    monkeypatch.setattr(datasets.SVHN, "split_list", parts)
    return files, images


def test_svhn_with_one_file_here_and_one_downloaded(svhn, server, ued_home, monkeypatch):
    files, images = svhn
    address, offered, asked = server
    offered["test.mat"] = files["test"]
    folder = data_folder(ued_home)
    (folder / "train_32x32.mat").write_bytes(files["train"])
    parts = datasets.SVHN.split_list
    monkeypatch.setitem(parts, "test", [f"{address}/test.mat", *parts["test"][1:]])
    split = Svhn().load(Context())
    assert asked == ["/test.mat"]
    assert split.train.labels.tolist() == [0, 1, 2, 0, 9]
    assert np.array_equal(split.train.images.numpy(), images["train"].transpose(3, 2, 0, 1))
    assert split.train.class_names == tuple("0123456789")


@pytest.mark.parametrize(
    ("key", "files"),
    [
        ("cifar10", ["cifar-10-python.tar.gz", "cifar-10-batches-py"]),
        ("cifar100", ["cifar-100-python.tar.gz", "cifar-100-python"]),
        ("svhn", ["train_32x32.mat", "test_32x32.mat"]),
    ],
)
def test_without_files_and_download_the_message_names_folder_and_files(key, files, ued_home):
    with pytest.raises(Unavailable) as caught:
        DATASETS.build(key, download=False).load(Context())
    for part in [str(ued_home / "data"), *files]:
        assert part in str(caught.value)


def test_without_a_network_the_message_names_folder_and_files(cifar10, ued_home, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/c.tar.gz")
    with pytest.raises(Unavailable, match="could not be downloaded.*Put cifar-10-python.tar.gz") as caught:
        Cifar10().load(Context())
    assert str(ued_home / "data") in str(caught.value)
    assert seen(ued_home / "data") == []


def test_a_broken_archive_with_the_right_checksum(cifar10, ued_home, monkeypatch):
    _, _, archive = cifar10
    folder = data_folder(ued_home)
    cut = archive[: len(archive) // 2]
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(cut))
    (folder / datasets.CIFAR10.filename).write_bytes(cut)
    with pytest.raises(Unavailable, match="could not be unpacked"):
        Cifar10(download=False).load(Context())
    assert seen(folder) == [datasets.CIFAR10.filename]


def test_an_archive_that_climbs_out_is_refused(cifar10, ued_home, monkeypatch, tmp_path):
    climbing = tar("../../outside", {"data_batch_1": b"x"})
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(climbing))
    (data_folder(ued_home) / datasets.CIFAR10.filename).write_bytes(climbing)
    with pytest.raises(Unavailable, match="could not be unpacked"):
        Cifar10(download=False).load(Context())
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.parametrize(("name", "reason"), [("gone", "Not Found"), ("wrong", "but it must be"), ("short", "must be")])
def test_failed_downloads_leave_nothing(server, tmp_path, name, reason):
    address, offered, _ = server
    offered |= {"wrong": b"something else", "short": b"the beginning"}
    with pytest.raises(Unavailable, match=reason):
        fetch(f"{address}/{name}", tmp_path / "file.bin", md5(b"the beginning and the end"), Context(), "Do it.")
    assert not list(tmp_path.glob("*.bin"))


def test_a_download_can_be_cancelled_halfway(server, tmp_path):
    address, offered, _ = server
    offered["big"] = bytes(3_000_000)
    done = []
    ctx = Context(on_report=lambda *report: done.append(report), stop=lambda: len(done) >= 3)
    with pytest.raises(Cancelled):
        fetch(f"{address}/big", tmp_path / "file.bin", md5(offered["big"]), ctx, "")
    assert 0 < done[-1][0] < done[-1][1] == 3_000_000
    assert not list(tmp_path.glob("*.bin"))


def test_a_failed_download_keeps_an_older_file(server, tmp_path):
    address, _, _ = server
    (tmp_path / "file.bin").write_bytes(b"older")
    with pytest.raises(Unavailable):
        fetch(f"{address}/gone", tmp_path / "file.bin", "0" * 32, Context(), "")
    assert (tmp_path / "file.bin").read_bytes() == b"older"


def test_downloading_is_no_part_of_the_identity():
    assert Cifar10(download=True).identity() == Cifar10(download=False).identity()
    assert Cifar10().identity() != Cifar100().identity()


def test_downloads_are_off_in_contract_tests():
    for key in ("cifar10", "cifar100", "svhn"):
        assert DATASETS[key].quick_values() == {"download": False}
        assert not DATASETS[key].embedded


def test_images_are_contiguous_channels_first(cifar10, ued_home):
    _, _, archive = cifar10
    (data_folder(ued_home) / datasets.CIFAR10.filename).write_bytes(archive)
    split = Cifar10(download=False).load(Context())
    assert split.train.images.is_contiguous()
    assert split.train.images.dtype == torch.uint8


@pytest.fixture
def stl10(monkeypatch):
    """Six and four images in the layout of STL-10, without those that have no labels: name → bytes."""
    rng = np.random.default_rng(0)
    files, images = {}, {}
    for part, labels in (("train", [1, 2, 10, 1, 5, 7]), ("test", [3, 10, 1, 1])):
        images[part] = rng.integers(0, 256, (len(labels), 3, 96, 96), dtype=np.uint8)
        files[f"{part}_X.bin"] = images[part].transpose(0, 1, 3, 2).tobytes()
        files[f"{part}_y.bin"] = bytes(labels)
    for name in ("train_list", "test_list"):
        listed = [[file, md5(files[file]) if file in files else sum_] for file, sum_ in getattr(datasets.STL10, name)]
        monkeypatch.setattr(datasets.STL10, name, listed)
    return files, images


def place_stl10(home, files):
    folder = data_folder(home) / datasets.STL10.base_folder
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def test_stl10_reads_the_labelled_images_alone(stl10, ued_home):
    files, images = stl10
    place_stl10(ued_home, files)
    split = Stl10().load(Context())
    assert np.array_equal(split.train.images.numpy(), images["train"])
    assert np.array_equal(split.test.images.numpy(), images["test"])
    assert split.train.labels.tolist() == [0, 1, 9, 0, 4, 6]
    assert split.test.labels.tolist() == [2, 9, 0, 0]
    assert split.train.class_names[9] == "truck"


def test_stl10_in_another_size_is_another_set(stl10, ued_home):
    place_stl10(ued_home, stl10[0])
    small = load_split(Stl10(size=24), Context())
    assert small.train.shape == (3, 24, 24)
    assert load_split(Stl10(), Context()).train.shape == (3, 96, 96)


def test_a_damaged_file_of_stl10_is_not_read(stl10, ued_home):
    files, _ = stl10
    place_stl10(ued_home, {**files, "test_y.bin": b"\x01\x01\x01\x01"})
    with pytest.raises(Unavailable, match=r"missing in .* or damaged.*stl10_binary\.tar\.gz.*test_y\.bin"):
        Stl10().load(Context())


def test_stl10_from_its_archive(stl10, ued_home, monkeypatch):
    files, images = stl10
    archive = tar(datasets.STL10.base_folder, files)
    monkeypatch.setattr(datasets.STL10, "tgz_md5", md5(archive))
    (data_folder(ued_home) / datasets.STL10.filename).write_bytes(archive)
    assert np.array_equal(Stl10().load(Context()).test.images.numpy(), images["test"])


def test_visitors_do_not_fetch_stl10(stl10, ued_home):
    assert Stl10(download=True).fetches()
    assert not Stl10().fetches()
    place_stl10(ued_home, stl10[0])
    assert not Stl10(download=True).fetches()
