"""Runs: spec, store, supervisor, worker."""
