"""Stored layouts: found by everything that decides them, and by nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.small_disk import full_disk
from ued_core.analysis import layout_store
from ued_core.analysis.layout_store import layout_key, store_layout, stored_layout
from ued_core.artefacts import LAYOUTS


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path))


FEATURES = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)


def test_points_come_back_as_they_were() -> None:
    key = layout_key([FEATURES], "umap")
    assert stored_layout(key) is None
    points = FEATURES[:, :2].astype(np.float32)
    store_layout(key, points)
    np.testing.assert_array_equal(stored_layout(key), points)
    assert [path.name for path in LAYOUTS.root().iterdir()] == [key]


def test_the_key_names_features_method_parameters_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    other = FEATURES.copy()
    other[3, 1] += 1e-6
    keys = [
        layout_key([FEATURES], "umap"),
        layout_key([other], "umap"),
        layout_key([FEATURES], "tsne"),
        layout_key([FEATURES], "umap", {"neighbours": 5}),
        layout_key([FEATURES, FEATURES], "umap"),
        layout_key([FEATURES.reshape(10, 8)], "umap"),
    ]
    assert len(set(keys)) == len(keys)
    assert layout_key([FEATURES.copy()], "umap") == keys[0]
    monkeypatch.setattr(layout_store, "version", lambda name: "9.9")
    assert layout_key([FEATURES], "umap") != keys[0], "another version of the library, another layout"


def test_a_damaged_file_is_none() -> None:
    key = layout_key([FEATURES], "umap")
    store_layout(key, FEATURES[:, :2])
    (LAYOUTS.root() / key / "points.npy").write_bytes(b"broken")
    assert stored_layout(key) is None
    store_layout(key, FEATURES[:, :2])
    assert stored_layout(key) is not None


def test_layouts_of_older_versions_look_the_same() -> None:
    """They were single files without checksums."""
    LAYOUTS.root().mkdir()
    path = LAYOUTS.root() / f"{0:016x}.safetensors"
    save_file({"points": FEATURES[:, :2].copy()}, path)
    np.testing.assert_array_equal(stored_layout(f"{0:016x}"), FEATURES[:, :2])
    path.write_bytes(b"broken")
    assert stored_layout(f"{0:016x}") is None


def test_the_ones_not_used_longest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_store, "LAYOUTS", replace(LAYOUTS, most_entries=3))
    for number in range(3):
        store_layout(f"{number:016x}", FEATURES[:, :2])
        os.utime(LAYOUTS.root() / f"{number:016x}", (number, number))
    assert stored_layout(f"{0:016x}") is not None
    store_layout(f"{3:016x}", FEATURES[:, :2])
    assert sorted(int(path.name, 16) for path in LAYOUTS.root().iterdir()) == [0, 2, 3], "the first one was used again"


def test_a_home_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("UED_HOME", str(blocked))
    store_layout("0" * 16, FEATURES[:, :2])
    assert stored_layout("0" * 16) is None


def test_full_disk() -> None:
    key = layout_key([FEATURES], "umap")
    with full_disk(room=50):
        store_layout(key, FEATURES[:, :2])
    assert stored_layout(key) is None
    assert list(LAYOUTS.root().iterdir()) == []
