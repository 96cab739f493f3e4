"""Every test of attacks has a home of its own, so that nothing that was crafted before is read."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
