"""``python -m flows.cli`` is ``kubev6``."""

from __future__ import annotations

import sys

from flows.cli import main

if __name__ == "__main__":
    sys.exit(main())
