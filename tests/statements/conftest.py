"""Tables of runs made by hand, in place of the shipped ones."""

import json

import pytest

from ued_core.results import known, shipped_runs
from ued_core.runs.spec import RunSpec


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Writes conditions, each a part of a spec and its accuracies seed by seed, with further numbers of its rows."""
    for module in (known, shipped_runs):
        monkeypatch.setattr(module, "asset", lambda *parts: tmp_path.joinpath(*parts[1:]))

    def write(*conditions):
        rows = []
        for data, attack, defences, values, *more in conditions:
            named = data if isinstance(data, dict) else {"dataset": {"name": data}}
            for seed, last in enumerate(values):
                given = {"attack": attack, "defenses": defences, "seed": seed, "attack_seed": seed, **named}
                dataset = given["dataset"] if isinstance(given["dataset"], dict) else {"name": given["dataset"]}
                spec = RunSpec.from_json({**given, "dataset": {**dataset, "seed": seed}})
                numbers = more[0] if more else {}
                rows.append({"key": spec.key(), "spec": spec.to_json(), "seed": seed, "last": last, **numbers})
        (tmp_path / "rows.json").write_text(json.dumps(rows))

    return write
