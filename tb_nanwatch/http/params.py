"""Parameters of a request. A wrong one is an error whose text tells how to correct it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import overload

from werkzeug import wrappers

from tb_nanwatch.format.roles import ROLE_NAMES
from tb_nanwatch.grid import AXES
from tb_nanwatch.http.respond import BadRequestError, UnknownError
from tb_nanwatch.reader import Access, Reader, RunIndex, UnknownRunError
from tb_nanwatch.stats.statistics import STATISTIC, Statistic

MOST_COLUMNS = 4096
DEFAULT_COLUMNS = 512

LARGEST_STEP = 2**53
_LISTED = 20
_INTEGER = re.compile(r"[+-]?[0-9]{1,17}")
_DECIMAL = re.compile(r"[0-9]{0,3}(\.[0-9]{1,17})?(?<=[0-9])")


def access(request: wrappers.Request) -> Access:
    """Who asks, and of which experiment."""
    # With it come Markdown and a sanitizer, of which a page without a server needs nothing.
    from tensorboard import plugin_util

    return Access(plugin_util.context(request.environ), plugin_util.experiment_id(request.environ))


def _required(request: wrappers.Request, name: str) -> str:
    value = request.args.get(name)
    if value is None:
        raise BadRequestError(f"Missing parameter {name!r}: add {name}=... to the address.")
    return value


def run(request: wrappers.Request, reader: Reader, name: str = "run") -> RunIndex:
    """The run that the parameter `name` names."""
    try:
        return reader.run(access(request), _required(request, name))
    except UnknownRunError as error:
        raise UnknownError(_unknown("run", error.run, error.known)) from error


def tensor(request: wrappers.Request, index: RunIndex) -> int:
    """The position in `index.tensors` of the tensor that `tensor` names."""
    wanted = _required(request, "tensor")
    for position, candidate in enumerate(index.tensors):
        if candidate.id == wanted:
            return position
    raise UnknownError(
        f"Unknown tensor {wanted!r} in run {index.run!r}. Its {len(index.tensors)} tensors are in "
        "the answer of 'run'."
    )


def statistic(request: wrappers.Request) -> Statistic:
    """The statistic that `statistic` names."""
    name = request.args.get("statistic", "nonfinite")
    if name not in STATISTIC:
        raise BadRequestError(_unknown("statistic", name, list(STATISTIC)))
    return STATISTIC[name]


def roles(request: wrappers.Request) -> frozenset[str] | None:
    """The roles that `role` names, one or several; None for all."""
    names = request.args.getlist("role")
    for name in names:
        if name not in ROLE_NAMES:
            raise BadRequestError(_unknown("role", name, ROLE_NAMES))
    return frozenset(names) if names else None


def axis(request: wrappers.Request) -> str:
    """What columns are equally wide in, as `axis` names it."""
    name = request.args.get("axis", "step")
    if name not in AXES:
        raise BadRequestError(_unknown("axis", name, AXES, "axes"))
    return name


def share(request: wrappers.Request, name: str, default: float) -> float:
    """A number from 0 to 1."""
    text = request.args.get(name)
    if text is None:
        return default
    if not _DECIMAL.fullmatch(text) or not 0 <= float(text) <= 1:
        raise BadRequestError(
            f"Wrong parameter {name}={_short(text)!r}: expected a number from 0 to 1, such as 0.01."
        )
    return float(text)


def columns(request: wrappers.Request) -> int:
    """The most columns wanted."""
    wanted = _integer(request, "columns", DEFAULT_COLUMNS)
    if not 1 <= wanted <= MOST_COLUMNS:
        raise BadRequestError(f"Wrong parameter columns={wanted}: expected 1 to {MOST_COLUMNS}.")
    return wanted


def check_viewport(request: wrappers.Request) -> None:
    """Raises for a wrong parameter of a viewport, before a run is looked for."""
    columns(request)
    axis(request)
    steps(request, (None, None))


@overload
def steps(request: wrappers.Request) -> tuple[int, int]: ...
@overload
def steps(
    request: wrappers.Request, default: tuple[int | None, int | None]
) -> tuple[int | None, int | None]: ...
def steps(
    request: wrappers.Request, default: tuple[int | None, int | None] | None = None
) -> tuple[int | None, int | None]:
    """The closed range that `first` and `last` bound; required where there is no default."""
    if default is None:
        _required(request, "first")
        _required(request, "last")
        default = None, None
    first = _integer(request, "first", default[0])
    last = _integer(request, "last", default[1])
    if first is not None and last is not None and first > last:
        raise BadRequestError(
            f"Wrong parameters first={first} and last={last}: expected first <= last."
        )
    return first, last


@overload
def _integer(request: wrappers.Request, name: str, default: int) -> int: ...
@overload
def _integer(request: wrappers.Request, name: str, default: int | None) -> int | None: ...
def _integer(request: wrappers.Request, name: str, default: int | None) -> int | None:
    text = request.args.get(name)
    if text is None:
        return default
    if not _INTEGER.fullmatch(text) or abs(int(text)) > LARGEST_STEP:
        raise BadRequestError(
            f"Wrong parameter {name}={_short(text)!r}: expected an integer, such as 0 or 1200."
        )
    return int(text)


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _unknown(what: str, asked: str, known: Sequence[str], plural: str = "") -> str:
    listed = ", ".join(known[:_LISTED])
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return (
        f"Unknown {what} {_short(asked)!r}. Known {plural or what + 's'}: {listed or 'none'}{more}."
    )
