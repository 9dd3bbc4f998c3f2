"""Where the checkout is whose tests these are."""

from __future__ import annotations

from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
