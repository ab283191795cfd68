"""A progress bar on a terminal, a line per training in a log file."""

from __future__ import annotations

import time
from typing import Any, TextIO

import keras

WIDTH = 24


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows one training: its name, how far it is, its loss, and the time it took.

    Args:
      name: of the training.
      number: which of how many trainings it is, such as "3/51".
    """

    def __init__(self, name: str, number: str, stream: TextIO) -> None:
        super().__init__()
        self.name, self.number, self.stream, self.bar = name, number, stream, stream.isatty()
        self.step, self.began, self.shown = 0, time.monotonic(), 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step += 1
        if self.bar and time.monotonic() - self.shown > 0.05:
            self.show(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.show(logs)
        self.stream.write("\n")
        self.stream.flush()

    def show(self, logs: dict[str, Any] | None) -> None:
        self.shown = time.monotonic()
        steps = self.params["steps"] * self.params["epochs"]
        bar = ("#" * (WIDTH * self.step // steps)).ljust(WIDTH, ".") + " " if self.bar else ""
        took = f"{self.shown - self.began:5.1f} s"
        loss = (logs or {}).get("loss", float("nan"))
        line = f"{self.number:>5} {self.name:28} {bar}step {self.step:3}/{steps}"
        line += f"  loss {loss:<9.3g} {took}"
        self.stream.write(("\r" if self.bar else "") + line)
        self.stream.flush()
