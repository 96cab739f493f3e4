"""What README and docs/results.md say of the stored runs: sentences made from the rows, whose words follow them.

Each module speaks for one section. A sentence is left out while its rows are missing, and says that something cannot be
told where the rows do not decide it.
"""
