"""``python -m kubev6`` is ``kubev6``."""

from __future__ import annotations

import sys

from kubev6.cli import main

if __name__ == "__main__":
    sys.exit(main())
