"""The protocol of a run, as it goes into papers."""

from __future__ import annotations

from pages.state.run_protocol import in_words
from ued_core.data import DATASETS


def test_a_record_names_files_and_not_where_they_lie_on_this_machine() -> None:
    words = in_words(DATASETS.build("npz", path="/home/me/secret/poisoned.npz", test_path="/home/me/secret/clean.npz"))
    assert "path poisoned.npz, test path clean.npz" in words
    assert "secret" not in words
    handle = "import:0123456789abcdef"
    assert f"path {handle}" in in_words(DATASETS.build("folder", path=handle))
