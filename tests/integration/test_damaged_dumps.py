"""`nanwatch replay` on damaged files: one sentence, and exit status 2."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tb_nanwatch.adapters.keras_common.failing_step import black_box
from tb_nanwatch.adapters.keras_common.failing_step.replay import main
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.training.failing_step.step_dump import StepDump, pack_dump, unpack_dump

FILES = pack_dump(
    StepDump(
        Rerun(3, True, "graph"),
        {"keras": "3"},
        {"0": np.ones((4, 2), np.float32), "1": np.ones((4, 1), np.float32)},
        {"000000/dense/kernel": np.ones((2, 1), np.float32)},
    )
)
RESULT = {
    "nested": b"[" * 100_000,
    "no dictionary": b"3",
    "infinite": FILES["result.json"].replace(b'"step": 3', b'"step": 1e999'),
    "long": FILES["result.json"].replace(b'"step": 3', b'"step": ' + b"9" * 5000),
    "no text": b"\xff\xfe\xfd",
    "empty": b"",
}


def write(folder: Path, files: dict[str, bytes]) -> None:
    step = folder / "nanwatch" / "blackbox" / "step-000000003"
    step.mkdir(parents=True)
    for name, content in files.items():
        (step / name).write_bytes(content)


@pytest.mark.parametrize(
    "files",
    [
        *({**FILES, "result.json": content} for content in RESULT.values()),
        {**FILES, "batch.npz": FILES["batch.npz"][:-40]},
        {**FILES, "batch.npz": b""},
        {**FILES, "state.npz": b"PK\x03\x04" + b"\0" * 60},
    ],
    ids=[*RESULT, "truncated", "empty batch", "bad zip"],
)
def test_it_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, bytes]
) -> None:
    write(tmp_path, files)
    assert main([str(tmp_path), "--model", "no_such_module:build"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("nanwatch replay: ")
    assert said.count("\n") == 1
    assert "step-000000003" in said


def test_any_bytes_are_a_dump_or_a_value_error() -> None:
    dice = random.Random(4)
    for _ in range(400):
        files = dict(FILES)
        name = dice.choice(list(files))
        content = bytearray(files[name])
        for _ in range(dice.randint(1, 6)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        files[name] = bytes(content[: dice.randint(0, len(content))])
        with suppress(ValueError):
            assert isinstance(unpack_dump(files), StepDump)


def test_a_file_is_there_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "batch.npz"
    path.write_bytes(b"before")

    def fails(*_: object, **__: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(black_box.tf.io.gfile, "rename", fails)
        with pytest.raises(OSError, match="disk full"):
            black_box._write_whole(str(path), b"after")
    assert path.read_bytes() == b"before"
    black_box._write_whole(str(path), b"after")
    assert path.read_bytes() == b"after"
