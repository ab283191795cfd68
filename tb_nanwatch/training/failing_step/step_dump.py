"""A step that went non-finite, as the contents of a few files.

::

    blackbox/step-<step>/result.json     what the rerun found, and versions
    blackbox/step-<step>/batch.npz       the batch, from level "batch" on
    blackbox/step-<step>/state.npz       the model's variables before the step, at level "state"

Arrays of a dtype that NumPy does not know (bfloat16, float8) are stored as integers of the same
bits; `result.json` lists them. Nothing is pickled.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format import VERSION
from tb_nanwatch.format.rerun import Rerun, rerun_from_json, rerun_to_json

DumpLevel = Literal["off", "result", "batch", "state"]
"""What is written: nothing; what was found; the batch, too; the state before the step, too."""

FOLDER = "blackbox"

FILES = ("batch.npz", "state.npz", "result.json")
"""In the order in which they are written: where the last one is, the others are complete."""

_DAMAGED = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError),
    *(EOFError, OSError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error),
)
"""What JSON and NumPy's archives raise on damaged bytes."""


class UnknownVersionError(ValueError):
    """Written by a newer NaNWatch."""


Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class StepDump:
    """One step.

    Attributes:
      rerun: what running it again found.
      versions: of the packages that ran it, by name.
      batch: its arrays by position, such as "0" or "1/mask"; {} where it is not stored.
      state: variables before the step, by number and path; {} where they are not stored.
    """

    rerun: Rerun
    versions: Mapping[str, str]
    batch: Arrays = field(default_factory=dict)
    state: Arrays = field(default_factory=dict)


def validate_dump_level(level: str) -> None:
    """Raises ValueError for anything but a `DumpLevel`."""
    if level not in get_args(DumpLevel):
        raise ValueError(
            f"Expected blackbox to be one of {', '.join(map(repr, get_args(DumpLevel)))}, "
            f"got {level!r}."
        )


def folder_name(step: int, attempt: int = 1) -> str:
    """The folder of a step's files, below `FOLDER`; of the second training that failed there 2."""
    return f"step-{step:09d}" if attempt == 1 else f"step-{step:09d}-{attempt}"


def pack_dump(dump: StepDump) -> dict[str, bytes]:
    """File names to contents."""
    dtypes: dict[str, dict[str, str]] = {}
    files = {}
    for name, arrays in (("batch", dump.batch), ("state", dump.state)):
        if arrays:
            files[f"{name}.npz"], dtypes[name] = _pack_arrays(arrays)
    content = {
        "version": VERSION,
        "rerun": rerun_to_json(dump.rerun),
        "versions": dict(dump.versions),
        "dtypes": dtypes,
    }
    return {"result.json": json.dumps(content, indent=1).encode(), **files}


def unpack_dump(files: Mapping[str, bytes], dtype_of: Any = np.dtype) -> StepDump:
    """The inverse of `pack_dump`.

    Args:
      files: names to contents; those of arrays may be missing.
      dtype_of: returns the dtype of a name, such as "bfloat16", that NumPy may not know.

    Raises:
      ValueError: where they are no dump, or one of a newer version.
    """
    if "result.json" not in files:
        raise ValueError(f"Expected the files of a black box, got {sorted(files)}.")
    try:
        content = json.loads(files["result.json"])
        version = content["version"]
        if version != VERSION:
            raise UnknownVersionError(
                f"Got a black box of version {version} where {VERSION} was expected. Upgrade "
                "tb-nanwatch to read it."
            )
        arrays = {
            name: _unpack_arrays(files[f"{name}.npz"], content["dtypes"].get(name, {}), dtype_of)
            for name in ("batch", "state")
            if f"{name}.npz" in files
        }
        versions = {str(key): str(value) for key, value in content["versions"].items()}
        return StepDump(rerun_from_json(content["rerun"]), versions, **arrays)
    except UnknownVersionError:
        raise
    except _DAMAGED as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(
            f"Expected the files of a black box, got damaged ones ({reason:.200}). Copy them again."
        ) from error


def _pack_arrays(arrays: Arrays) -> tuple[bytes, dict[str, str]]:
    """The bytes of an npz, and the dtypes that NumPy cannot store, by name."""
    bits, dtypes = {}, {}
    for name, array in arrays.items():
        if array.dtype.kind == "V":
            dtypes[name] = array.dtype.name
            array = array.view(np.dtype(f"u{array.dtype.itemsize}"))
        elif array.dtype.kind == "O":  # Strings, as TensorFlow gives them.
            array = array.astype("S")
        bits[name] = array
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **bits)
    return buffer.getvalue(), dtypes


def _unpack_arrays(content: bytes, dtypes: Mapping[str, str], dtype_of: Any) -> Arrays:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {
            name: arrays[name].view(dtype_of(dtypes[name])) if name in dtypes else arrays[name]
            for name in arrays.files
        }
