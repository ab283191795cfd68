"""The exit statuses of the command."""

from __future__ import annotations

NO_ERROR, ERROR, TROUBLE = 0, 1, 2
"""No finding of severity error; at least one; nothing readable, or wrong arguments."""

CRASH = 70
"""NaNWatch itself has failed. Python's own status for that is 1, which is another here."""
