"""Published sets in the forms: what is known of one before its files are here, and what to do to bring them."""

import pytest

from ued_core.data import PUBLISHED

NAMES = [entry.key for entry in PUBLISHED]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No file is asked for, from whichever server."""
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: pytest.fail("the network was asked"))


@pytest.mark.parametrize("name", NAMES)
def test_the_form_says_size_licence_and_files_and_fetches_nothing(open_page, name):
    entry = next(entry for entry in PUBLISHED if entry.key == name)
    page = open_page("runs", {"view": "new", "new_data": name, "new_attack": "tap"})
    assert not page.exception
    told = " ".join(box.value for box in page.caption)
    for words in (entry.summary(), entry.publication.licence, entry.publication.address, *entry.files()):
        assert words in told


@pytest.mark.parametrize("name", ["pets", "cars", "imagenet", "sun397"])
def test_a_page_without_the_files_says_what_is_needed(open_page, name):
    page = open_page("attack", {"data": name})
    assert not page.exception
    told = " ".join(box.value for box in (*page.error, *page.warning))
    assert ("No folder of ImageNet is given" if name == "imagenet" else "needs files that are not in") in told
    labels = {control.label for control in (*page.slider, *page.number_input)}
    assert {"Train size", "Test size", "Seed"} <= labels
    assert any(label.startswith("Size") for label in labels)
