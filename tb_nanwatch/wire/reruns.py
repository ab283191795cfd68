"""What running a step again has found, as JSON in UTF-8 with a version."""

from __future__ import annotations

import json

from tb_nanwatch.schema import VERSION
from tb_nanwatch.schema.rerun import Rerun, rerun_from_json, rerun_to_json
from tb_nanwatch.wire import VersionError, WireError


def pack_rerun(rerun: Rerun) -> bytes:
    """The rerun as bytes, the same for the same rerun."""
    return json.dumps({"version": VERSION, **rerun_to_json(rerun)}, sort_keys=True).encode()


def unpack_rerun(content: bytes) -> Rerun:
    """The rerun; raises WireError for anything else, VersionError for a newer one."""
    try:
        found = json.loads(content)
        version = int(found["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise WireError("Expected what a rerun found, as JSON with a version.") from error
    if version != VERSION:
        raise VersionError("a rerun", version, VERSION)
    try:
        return rerun_from_json(found)
    except ValueError as error:
        raise WireError(str(error)) from error
