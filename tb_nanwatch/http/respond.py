"""Answers and errors in one shape, whatever goes wrong."""

from __future__ import annotations

import gzip
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt
from tensorboard import errors
from tensorboard.backend import http_util
from werkzeug import wrappers

from tb_nanwatch.http.encoding import pack_grid

_logger = logging.getLogger("tensorboard.nanwatch")

Channels = Mapping[str, npt.NDArray[Any]]
Grid = tuple[dict[str, Any], Channels]
"""The header of a grid, and its channels (`http.encoding`)."""

Handler = Callable[[wrappers.Request], wrappers.Response]


class BadRequestError(errors.PublicError):  # type: ignore[misc]
    """A wrong parameter; the text names what was asked for, what exists, and how to correct it."""

    http_code = 400


class UnknownError(errors.PublicError):  # type: ignore[misc]
    """A run or tensor that does not exist."""

    http_code = 404


def application(handler: Handler) -> Callable[..., Any]:
    """A WSGI application that answers GET by `handler`, and every error as JSON."""

    def answer(request: wrappers.Request) -> wrappers.Response:
        if request.method != "GET":
            error = f"{request.method} is not allowed: this interface is read-only. Use GET."
            return _error(request, error, 405, [("Allow", "GET")])
        try:
            return handler(request)
        except errors.PublicError as error:
            return _error(request, str(error), error.http_code, error.headers)
        except Exception as error:
            _logger.exception("NaNWatch could not answer %s", request.path)
            return _error(
                request,
                f"Internal error in NaNWatch: {type(error).__name__}: {error}. Reload; if it "
                "happens again, report it with the traceback in TensorBoard's log.",
                500,
            )

    return wrappers.Request.application(answer)


def json_answer(request: wrappers.Request, content: Mapping[str, Any]) -> wrappers.Response:
    """A 200 of JSON; numbers that are not finite become strings (`http_util.Respond`)."""
    return respond(request, dict(content), "application/json")


def grid_answer(
    request: wrappers.Request, header: Mapping[str, Any], channels: Channels
) -> wrappers.Response:
    """A 200 of a packed grid (`http.encoding`)."""
    # Cells repeat a lot: level 1 makes them several times smaller for a tunnel, in a few ms.
    # Respond unpacks again for a client that takes no gzip.
    return respond(
        request,
        gzip.compress(pack_grid(header, channels), compresslevel=1, mtime=0),
        "application/octet-stream",
        content_encoding="gzip",
    )


def respond(
    request: wrappers.Request, content: Any, content_type: str, **options: Any
) -> wrappers.Response:
    """`http_util.Respond`, with the type of what it gives."""
    response: wrappers.Response = http_util.Respond(request, content, content_type, **options)
    return response


def number_or_null(value: float) -> float | None:
    """The number; None for NaN, which stands for no value."""
    return None if math.isnan(value) else float(value)


def step_or_null(value: float) -> int | None:
    """The step as an integer; None for NaN, which stands for no step."""
    return None if math.isnan(value) else int(value)


def _error(
    request: wrappers.Request, text: str, code: int, headers: list[tuple[str, str]] | None = None
) -> wrappers.Response:
    return respond(request, {"error": text}, "application/json", code=code, headers=headers)
