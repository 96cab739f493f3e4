"""``python -m ued_core``."""

import os
import sys

# Spinning OpenMP threads starve other processes; only counts when set before torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from ued_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
