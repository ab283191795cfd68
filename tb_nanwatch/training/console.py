"""What a training run says on the console: by the logger "tb_nanwatch".

Findings, the end of a training and progress are logged; what a user should change for the recording
to work is a warning (`training.warnings`). A logger that has handlers already keeps just these.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("tb_nanwatch")


class Console(logging.Handler):
    """Prints to standard output, as Keras' progress bar does, below which a finding begins."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            below = "\n" if record.levelno >= logging.WARNING else ""
            print(f"{below}NaNWatch: {self.format(record)}", flush=True)
        except Exception:
            self.handleError(record)


def _configure() -> None:
    if not logger.handlers:
        logger.addHandler(Console())
        logger.propagate = False  # Handlers of the root would print everything again.
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


_configure()
