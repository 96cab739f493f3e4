"""Where things are written, in a checkout and in an installed package."""

from pathlib import Path

import pytest

from ued_core import home as module
from ued_core.assets import CHECKOUT, asset, in_checkout
from ued_core.home import home


def test_the_variable_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "x" / ".." / "y"))
    assert home() == tmp_path / "y"


def test_a_checkout_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UED_HOME", raising=False)
    assert in_checkout()
    assert home() == CHECKOUT / ".ued"
    assert asset("icon.png").is_file()


@pytest.mark.parametrize(
    ("platform", "variable", "below"),
    [("linux", "XDG_DATA_HOME", "ued-studio"), ("win32", "LOCALAPPDATA", "ued-studio")],
)
def test_an_installed_package_writes_among_the_users_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str, below: str
) -> None:
    monkeypatch.delenv("UED_HOME", raising=False)
    monkeypatch.setattr(module, "in_checkout", lambda: False)
    monkeypatch.setattr(module.sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert home() == tmp_path / below
    monkeypatch.setenv(variable, "")
    assert home().is_relative_to(Path.home())
