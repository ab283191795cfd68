"""From arrays to what is wrong with a run: pure.

- `first_nonfinite`: where it began.
"""

from __future__ import annotations

from tb_nanwatch.diagnosis.first_nonfinite import FirstNonfinite, first_nonfinite, status

__all__ = ["FirstNonfinite", "first_nonfinite", "status"]
