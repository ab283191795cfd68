"""TensorBoard's own DataProvider over event files, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext

from tb_nanwatch.reader import Access

ACCESS = Access(RequestContext())


class Provider(MultiplexerDataProvider):
    """TensorBoard's own, which counts calls and can fail on a tag."""

    def __init__(self, logs: Path, keep: int = 0):
        self._files = EventMultiplexer(tensor_size_guidance={"nanwatch": keep})
        self._logs = logs
        self.calls: list[str] = []
        self.fails_on = ""
        super().__init__(self._files, str(logs))
        self.reload()

    def reload(self) -> None:
        self._files.AddRunsFromDirectory(str(self._logs)).Reload()

    def list_tensors(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("list")
        return super().list_tensors(*args, **kwargs)

    def read_tensors(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("read")
        if self.fails_on in kwargs["run_tag_filter"].tags:
            raise RuntimeError("as the data server fails")
        return super().read_tensors(*args, **kwargs)
