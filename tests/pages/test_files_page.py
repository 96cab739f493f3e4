"""The Files page: a file's report, what its loader loses, refusals in words, and exports."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pages.state import background
from pages.state.background import Handle
from tests.pages.components import charts, tiles
from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.data.poison_files import compare, load

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100"}


@pytest.fixture
def at_once(monkeypatch):
    """The side process's work is done here and now."""
    asked = []

    def submit(key, function, *args, slot="", after_s=0.0):
        handle = Handle(key, None, state="ready", value=function(*args))
        handle.done.set()
        asked.append(slot)
        return handle

    monkeypatch.setattr(background, "submit", submit)
    return asked


@pytest.fixture
def train():
    return load_split(DATASETS.build("shapes", train_size=200, test_size=100), Context()).train


def table(page):
    (found,) = (m.value for m in page.markdown if "| Format |" in m.value)
    return found.replace("\\", "")


def test_example_shows_the_lost_sign(open_page):
    page = open_page("files", SMALL)
    assert not page.exception
    assert not page.error, [error.value for error in page.error]
    assert page.title[0].value == "Released files"
    assert "EM perturbation.pt" in table(page)
    assert [r["label"] for r in tiles(page)[0]["rows"]] == ["clean", "as released", "signed, rounded", "difference"]
    (chart,) = charts(page)
    assert chart["question"] == "What does the official loader really add?"
    assert "100.0 % of the values that the noise should darken are not darkened" in chart["caption"]


def test_another_loader_keeps_the_sign(open_page):
    page = open_page("files", {**SMALL, "loader_noise": "em_signed"})
    assert "100.0 %" not in charts(page)[0]["caption"]
    rows = {r["label"]: r for r in tiles(page)[0]["rows"]}
    assert rows["as released"]["more"] == "learn-from-unlearnable's loader"
    em = {r["label"]: r for r in tiles(open_page("files", SMALL))[0]["rows"]}
    assert rows["signed, rounded"]["source"] == em["signed, rounded"]["source"]
    assert rows["as released"]["source"] != em["as released"]["source"]


def test_a_path(open_page, tmp_path: Path, train):
    delta = ATTACKS.build("cuda").poison(train, Context(seed=3)).delta.clamp(-8, 8).to(torch.int8)
    path = tmp_path / "rem-fin-def-noise.pkl"
    path.write_bytes(pickle.dumps(delta.numpy()))
    page = open_page("files", {**SMALL, "from": "path", "path": str(path), "loader_noise": "em"})
    assert not page.exception
    assert not page.error, [error.value for error in page.error]
    assert "REM noise pickle" in table(page)
    assert "200 of 3 × 32 × 32" in table(page)
    imported = load(path, train)
    expected = compare(imported, train, "em")
    assert f"{100 * expected.differing:.1f} % of all values differ" in charts(page)[0]["caption"]
    page.segmented_control(key="loader_noise").set_value("rem").run()
    assert "nothing is lost" in charts(page)[0]["caption"]


def test_corrections_change_the_reading(open_page, tmp_path: Path):
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).uniform(-0.03, 0.03, (200, 3, 32, 32)).astype(np.float32))
    asked = {**SMALL, "from": "path", "path": str(tmp_path / "noise.npy")}
    page = open_page("files", {**asked, "read_scale": "levels"})
    assert "largest size 0.03/255" in table(page)
    page.selectbox(key="read_scale").set_value("unit").run()
    assert "largest size 7.65/255" in table(page)


def test_refusals_are_words(open_page, tmp_path: Path):
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(print))
    page = open_page("files", {**SMALL, "from": "path", "path": str(tmp_path / "evil.pkl")})
    assert not page.exception
    assert "builtins.print" in page.error[0].value.replace("\\", "")
    page = open_page("files", {**SMALL, "from": "path", "path": str(tmp_path / "none.pt")})
    assert "There is no file" in page.error[0].value
    torch.save(torch.zeros(7, 3, 32, 32) + 0.01, tmp_path / "few.pt")
    page = open_page("files", {**SMALL, "from": "path", "path": str(tmp_path / "few.pt"), "read_per": "sample"})
    assert "7 entries" in page.error[0].value
    assert "EM perturbation.pt" in table(page), "the report stands although the file does not fit"


def test_upload_with_its_labels(open_page, tmp_path: Path, train):
    page = open_page("files", {**SMALL, "from": "upload"})
    assert any("Known are" in info.value for info in page.info)
    rows = (train.images.permute(0, 2, 3, 1).numpy() / 255).astype(np.float32)
    np.save(tmp_path / "x_train_shapes_ntga.npy", rows)
    np.save(tmp_path / "y_train_shapes.npy", np.eye(10)[train.labels.numpy()])
    files = [(name, (tmp_path / name).read_bytes(), "") for name in ("y_train_shapes.npy", "x_train_shapes_ntga.npy")]
    page.file_uploader[0].upload(files[0]) if not hasattr(page.file_uploader[0], "set_value") else page.file_uploader[
        0
    ].set_value(files)
    page.run()
    assert not page.error, [error.value for error in page.error]
    assert "NTGA" in table(page)
    assert "Labels are from y_train_shapes.npy" in table(page)


def verdicts(page):
    """Name, verdict and words of each line, without Markdown."""
    (found,) = (m.value for m in page.markdown if "files | | |" in m.value)
    return [
        [cell.strip() for cell in line.replace("\\", "").strip("| ").split(" | ", 2)] for line in found.splitlines()[2:]
    ]


def upload(page, files):
    target = page.file_uploader[0]
    target.set_value(files) if hasattr(target, "set_value") else target.upload(files)
    return page.run()


def test_several_uploads_get_one_line_each_and_the_good_ones_go_on(open_page, train):
    rows = train.images.permute(0, 2, 3, 1).numpy()
    files = [
        ("evil.pkl", pickle.dumps(print), ""),
        ("x_train_shapes_ntga.npy", saved(np.save, (rows / 255).astype(np.float32)), ""),
        ("y_train_shapes.npy", saved(np.save, train.labels.numpy()), ""),
        ("letter.docx", b"PKnothing", ""),
        ("L2.p1", saved(lambda file, value: torch.save(value, file), (train.images.float() / 255, train.labels)), ""),
        ("a\u202fb.npz", saved(lambda file, value: np.savez(file, data=value, targets=train.labels.numpy()), rows), ""),
    ]
    page = upload(open_page("files", {**SMALL, "from": "upload"}), files)
    assert not page.exception
    assert not page.error, [error.value for error in page.error]
    told = verdicts(page)
    assert [line[:2] for line in told] == [
        ["evil.pkl", "**refused**"], ["x_train_shapes_ntga.npy", "**read**"], ["y_train_shapes.npy", "**read**"],
        ["letter.docx", "**refused**"], ["L2.p1", "**read**"], ["a\u202fb.npz", "**read**"],
    ]  # fmt: skip
    assert "builtins.print" in told[0][2]
    assert "with x_train_shapes_ntga.npy" in told[2][2]
    assert "not a zip archive" in told[3][2]
    assert all("whole images with labels" in told[place][2] for place in (1, 4, 5))
    assert "NTGA" in table(page), "the first that can be read"
    page.selectbox(key="files_one").set_value("3").run()
    assert "torch file of arrays" in table(page)
    assert "because they are the clean ones" in table(page)
    assert "nothing is lost" in charts(page)[0]["caption"] or "% of all values differ" in charts(page)[0]["caption"]


def test_uploads_of_which_none_can_be_read(open_page):
    page = upload(open_page("files", {**SMALL, "from": "upload"}), [("a.pt", b"hello", ""), ("b.pt", b"", "")])
    assert not page.exception
    assert [line[1] for line in verdicts(page)] == ["**refused**", "**refused**"]
    assert any("Known are" in info.value for info in page.info)


def saved(write, value):
    buffer = io.BytesIO()
    write(buffer, value)
    return buffer.getvalue()


def test_paths_of_the_system_are_the_users_errors(open_page, tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    secret = tmp_path / "shadow"
    secret.write_bytes(b"root:*:2secret")
    for path, words in (
        (tmp_path / "fifo", "FIFO"),
        ("/proc/self", "belongs to the operating system"),
        (secret, "no format begins"),
        ("~nobody-of-this-name/x", "no path"),
        (tmp_path / ("a" * 300), "longer than the file system allows"),
    ):
        page = open_page("files", {**SMALL, "from": "path", "path": str(path)})
        assert not page.exception
        (said,) = (error.value.replace("\\", "") for error in page.error)
        assert words in said
        assert "bug" not in said
        assert "root" not in said.replace("pytest-of-root", "")


def test_a_reading_can_be_corrected_after_a_refusal(open_page, tmp_path: Path):
    torch.save(torch.full((200, 3, 32, 32), 40000), tmp_path / "deep.pt")
    page = open_page("files", {**SMALL, "from": "path", "path": str(tmp_path / "deep.pt")})
    assert "16-bit" in page.error[0].value
    page.selectbox(key="read_scale").set_value("0..255").run()
    assert "torch file of arrays" in table(page)


@pytest.mark.parametrize(("form", "name"), [("npz", "shapes_cuda_0.npz"), ("em", "shapes_cuda_0.pt")])
def test_export(open_page, at_once, train, form, name):
    page = open_page("files", {**SMALL, "form": form})
    assert not page.get("download_button")
    page.button(key="make_export").click().run()
    assert not page.error, [error.value for error in page.error]
    assert at_once == ["export"]
    assert any("200 images, 200 of them poisoned" in s.value for s in page.success)
    assert page.get("download_button")[0].proto.label.startswith(name)
