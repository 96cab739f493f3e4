"""Readers of stored tables: what benchmarks measured, what papers report, and answers that follow from the rows."""
