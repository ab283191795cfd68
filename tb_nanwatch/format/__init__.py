"""What is on disk, versioned: the only code that knows how a recording is laid out in event files.

- `roles`: what a watched tensor can be.
- `tensor_info`: one watched tensor, a row of the records.
- `facts`: what the framework knows of the model.
- `manifest`: what the rows of a stream's records are, as protobuf (`nanwatch.proto`).
- `records`: a record as one float64 tensor.
- `histograms`: a record's exponent histograms as one uint8 tensor.
- `json_facts`: facts as JSON with a version.
- `rerun`: what running a step again has found.
- `nonfinite_logs`: logs of an epoch that are not finite.
- `tags`: how all of that is laid out over summary tags.
- `events`: those tensors as TensorBoard's summary protos.
- `tensorboard_histograms`: histograms in the form of TensorBoard's own tabs.
- `history`: all that a run recorded, as arrays.

Everything is little-endian and carries a version; what is of another version is an error of
`VersionError`, never a guess. The training side and the serving side meet here, in `stats` and in
`diagnosis`, and nowhere else.
"""

from __future__ import annotations

VERSION = 1
"""Version of the record, the manifest and the histogram's bytes."""


LARGEST_INTEGER = 2**53
"""Steps, counts and other integers are smaller: a float64 has each of them exactly."""

LARGEST_VERSION = 2**31
"""What claims to be of a later version is damaged."""


class FormatError(ValueError):
    """Bytes that are not what they should be: damaged, or not ours."""


class VersionError(FormatError):
    """Data of a version that this code does not know."""

    def __init__(self, what: str, got: int, expected: int):
        super().__init__(
            f"Got {what} of version {got} where {expected} was expected: "
            "written by a newer NaNWatch? Upgrade tb-nanwatch to read it."
        )
        self.got = got
