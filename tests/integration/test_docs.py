"""The documentation is true: its code runs, its links lead somewhere, its lists are the code's.

HTML comments in a page, which no reader sees, say how its code is to be taken:

    <!-- fragment: REASON -->     the next block is not run, only parsed
    <!-- setup CODE -->           run here, before the next block, and not shown
    <!-- raises: ERROR -->        the next block ends with this error
    <!-- file: NAME -->           the next block is a file of this name
    <!-- exit: STATUS -->         the `nanwatch` commands of the next block end with this status
    <!-- finds: DIRECTORY CAUSE... -->   what was recorded there so far has these findings
    <!-- shows: COMMAND -->      the next block is in what this `nanwatch` command prints, however
                                 the lines are broken
    <!-- quotes: PAGE -->        the next block is in this page, too, where it is tested

All Python of a page runs in one namespace, in an empty folder.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any, get_args

import keras
import pytest
import tensorflow as tf

import tb_nanwatch as nanwatch
from tb_nanwatch.diagnosis import CAUSES, Status, Thresholds
from tb_nanwatch.format import facts
from tb_nanwatch.format.roles import DEFAULT_ROLES, ROLE_NAMES
from tb_nanwatch.format.tags import parse_tag
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN_NAMES, WINDOW_FIELD_NAMES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
LINKED = [
    *PAGES,
    ROOT / "CHANGELOG.md",
    ROOT / "frontend" / "README.md",
    ROOT / "frontend" / "src" / "README.md",
    ROOT / "tb_nanwatch" / "http" / "http_api.md",
    ROOT / "tests" / "bench" / "README.md",
]
BENCHMARKS = (ROOT / "tests" / "bench" / "README.md").read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Part:
    """A fenced block or an HTML comment of a page.

    Attributes:
      kind: the language of a block; the first word of a comment.
      text: what is in it.
      marks: of a block: the comments right before it, by their first word.
      line: where it begins in the page, from 1.
    """

    kind: str
    text: str
    marks: dict[str, str]
    line: int


_PART = re.compile(
    r"^<!--\s*(?P<word>\w+):?\s*(?P<comment>.*?)\s*-->$|^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_OF_NEXT_BLOCK = ("fragment", "raises", "file", "exit", "shows", "quotes")


def parts_of(page: Path) -> Iterator[Part]:
    marks: dict[str, str] = {}
    text = text_of(page)
    for match in _PART.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["word"] in _OF_NEXT_BLOCK:
            marks[match["word"]] = match["comment"]
        elif match["word"]:
            yield Part(match["word"], match["comment"], {}, line)
        else:
            yield Part(match["language"], match["code"], marks, line)
            marks = {}


def table_of(page: Path, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its head."""
    below = re.split(rf"^#+ {re.escape(heading)}$", text_of(page), flags=re.MULTILINE)
    assert len(below) == 2, f"{name_of(page)} has {len(below) - 1} headings {heading!r}"
    section = re.split(r"^#+ ", below[1], flags=re.MULTILINE)[0]
    lines = dropwhile(lambda line: not line.startswith("|"), section.splitlines())
    rows = list(takewhile(lambda line: line.startswith("|"), lines))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def column_of(page: Path, heading: str) -> list[str]:
    """All names in the first column of the table below a heading."""
    return [name for row in table_of(page, heading) for name in names_in(row[0])]


class TestCode:
    @pytest.fixture(autouse=True)
    def _clean(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.chdir(tmp_path)
        keras.utils.clear_session()
        yield
        keras.config.set_dtype_policy("float32")
        tf.summary.experimental.set_step(None)

    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_runs(self, page: Path, tmp_path: Path) -> None:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for part in parts_of(page):
                if part.kind in ("python", "setup"):
                    run_python(page, part, namespace, tmp_path)
                elif part.kind == "finds":
                    directory, *causes = part.text.split()
                    run = report_of(directory)
                    assert found_in(run) == causes, f"{name_of(page)}:{part.line}"
                elif part.kind == "sh" and "exit" in part.marks:
                    run_commands(page, part)
                elif "shows" in part.marks:
                    shown = " ".join(run_nanwatch(*part.marks["shows"].split()[1:]).stdout.split())
                    assert " ".join(part.text.split()) in shown, f"{name_of(page)}:{part.line}"
                elif "quotes" in part.marks:
                    assert part.text in text_of(ROOT / part.marks["quotes"])
        ours = [str(each.message) for each in caught if "NaNWatch" in str(each.message)]
        assert not ours

    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_names_options_that_exist(self, page: Path) -> None:
        for part in parts_of(page):
            for line in part.text.splitlines() if part.kind == "sh" else ():
                words = line.split("#")[0].split()
                if words[:1] != ["nanwatch"]:
                    continue
                known = help_of(words[1])
                assert {word for word in words if word.startswith("--")} <= known, line


def run_python(page: Path, part: Part, namespace: dict[str, Any], folder: Path) -> None:
    where = f"{name_of(page)}:{part.line}"
    if "fragment" in part.marks:
        assert part.marks["fragment"], f"{where}: why is it a fragment?"
        ast.parse(part.text)
        return
    # A file, so that a traceback, AutoGraph, and NaNWatch itself find the source.
    file = folder / part.marks.get("file", f"{page.stem}_{part.line}.py")
    file.write_text(part.text, encoding="utf-8")
    code = compile(part.text, str(file), "exec")
    if "raises" not in part.marks:
        exec(code, namespace)
        return
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - the page says which one.
        exec(code, namespace)
    assert raised.type.__name__ == part.marks["raises"], where


def run_commands(page: Path, part: Part) -> None:
    for line in part.text.splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["nanwatch"]:
            done = run_nanwatch(*(word.strip("'\"") for word in words[1:]))
            assert done.returncode == int(part.marks["exit"]), (
                f"{name_of(page)}:{part.line}: {line}"
            )


def run_nanwatch(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs `nanwatch` in a process of its own: it keeps TensorBoard from TensorFlow."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    line = [sys.executable, "-m", "tb_nanwatch", *words]
    return subprocess.run(line, env=environment, capture_output=True, text=True)


def report_of(directory: str) -> dict[str, Any]:
    (run,) = json.loads(run_nanwatch("report", directory, "--json").stdout)["runs"]
    return dict(run)


def found_in(run: dict[str, Any]) -> list[str]:
    """The causes, most important first; the status where there are none."""
    return [each["cause"] for each in run["findings"]] or [run["status"]]


@functools.cache
def help_of(name: str) -> set[str]:
    """The options of a command, but for --help."""
    return set(re.findall(r"--[a-z-]+", run_nanwatch(name, "--help").stdout)) - {
        "--help",
        "--logdir",
    }


class TestLinks:
    @pytest.mark.parametrize("page", LINKED, ids=name_of)
    def test_lead_somewhere(self, page: Path) -> None:
        text = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
        links = re.findall(r"\]\(([^()\s]+)\)", text)
        for link in links:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors_of(target), link

    def test_every_page_of_the_docs_is_linked_from_the_index(self) -> None:
        linked = re.findall(r"\]\(([^()\s#]+\.md)", text_of(DOCS / "index.md"))
        pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
        assert pages - {"index.md"} <= set(linked)


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    text = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class TestLists:
    """What the documentation lists is what the code has."""

    def test_every_cause_has_a_section(self) -> None:
        headings = re.findall(r"^## (\S+)$", text_of(DOCS / "findings.md"), re.MULTILINE)
        assert headings == list(CAUSES)

    def test_every_cause_is_in_the_table_with_its_severity(self) -> None:
        rows = table_of(DOCS / "findings.md", "All causes")
        listed = {names_in(row[0])[0]: row[1] for row in rows}
        assert listed == {cause: severity_of(cause) for cause in CAUSES}

    def test_every_section_of_a_cause_says_the_same_things(self) -> None:
        sections = re.split(r"^## \S+$", text_of(DOCS / "findings.md"), flags=re.MULTILINE)
        for cause, section in zip(CAUSES, sections[1:], strict=True):
            said = re.findall(r"^\*\*(.+?)\.?\*\*", section, re.MULTILINE)
            assert said == ["How it is recognized", "What else it could be", "Fix", "Ignore"], cause

    def test_roles(self) -> None:
        assert column_of(DOCS / "reference" / "python.md", "Roles") == list(ROLE_NAMES)
        rows = table_of(DOCS / "reference" / "python.md", "Roles")
        recorded = {name for row in rows if row[1] == "yes" for name in names_in(row[0])}
        assert recorded == set(DEFAULT_ROLES)

    def test_public_names(self) -> None:
        text = text_of(DOCS / "reference" / "python.md")
        listed = re.search(r"These names are public: (.*?)\.\s", text, re.DOTALL)
        assert listed is not None
        assert set(names_in(listed[1])) == set(nanwatch.__all__)

    def test_statuses(self) -> None:
        assert column_of(DOCS / "reference" / "json.md", "Status") == list(get_args(Status))

    @pytest.mark.parametrize(
        ("heading", "function"),
        [
            ("Callback", nanwatch.Callback.__init__),
            ("Watcher", nanwatch.Watcher.__init__),
            ("summary", nanwatch.summary),
        ],
    )
    def test_arguments(self, heading: str, function: Any) -> None:
        arguments = [name for name in inspect.signature(function).parameters if name != "self"]
        assert column_of(DOCS / "reference" / "python.md", heading) == arguments

    @pytest.mark.parametrize("command", ["report", "doctor", "replay", "demo"])
    def test_options(self, command: str) -> None:
        listed = column_of(DOCS / "reference" / "cli.md", f"nanwatch {command}")
        assert {word.split()[0] for word in listed} - {"--logdir"} == help_of(command)

    def test_thresholds(self) -> None:
        rows = table_of(DOCS / "reference" / "cli.md", "Thresholds")
        listed = {names_in(row[0])[0]: float(row[1].replace(",", "")) for row in rows}
        assert listed == vars(Thresholds())

    @pytest.mark.parametrize(
        ("heading", "names"),
        [
            ("Columns of a record", COLUMN_NAMES),
            ("Fields of a window", WINDOW_FIELD_NAMES),
            ("Facts of a tensor", [each.name for each in fields(TensorInfo)]),
            ("Facts of the model", [each.name for each in fields(facts.ModelFacts)]),
            ("Facts of a layer", [each.name for each in fields(facts.LayerFacts)]),
            ("Facts of a loss", [each.name for each in fields(facts.LossFacts)]),
            ("Facts of an optimizer", [each.name for each in fields(facts.OptimizerFacts)]),
        ],
    )
    def test_what_is_on_disk(self, heading: str, names: Sequence[str]) -> None:
        assert column_of(DOCS / "reference" / "files.md", heading) == list(names)

    def test_tags(self) -> None:
        for kind, example, _ in table_of(DOCS / "reference" / "files.md", "Tags"):
            (tag,) = names_in(example)
            parsed = parse_tag(tag)
            assert parsed is not None, tag
            assert parsed.kind == kind

    @pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "benchmarks.md"], ids=name_of)
    def test_figures_were_measured(self, page: Path) -> None:
        figures = re.findall(r"(?<!Python )\b\d+\.\d\d\b", text_of(page))
        assert [figure for figure in figures if figure not in BENCHMARKS] == []


def severity_of(cause: str) -> str:
    return str(getattr(CAUSES[cause], "severity", CAUSES[cause]))


class TestJson:
    """The examples and the real thing have the keys that reference/json.md lists."""

    PAGE = DOCS / "reference" / "json.md"

    def keys_of(self, heading: str) -> tuple[set[str], set[str]]:
        """Those that are always there, and those that may be."""
        rows = table_of(self.PAGE, heading)
        always = {name for row in rows if row[1] == "yes" for name in names_in(row[0])}
        return always, {name for row in rows for name in names_in(row[0])}

    def check(self, heading: str, value: dict[str, Any]) -> None:
        always, known = self.keys_of(heading)
        assert always <= set(value), heading
        assert set(value) <= known, heading

    def check_report(self, report: dict[str, Any]) -> None:
        self.check("The report", report)
        for run in report["runs"]:
            self.check_run(run)
        if "comparison" in report:
            self.check_comparison(report["comparison"])

    def check_run(self, run: dict[str, Any]) -> None:
        self.check("A run", run)
        assert run["status"] in get_args(Status)
        for finding in run["findings"]:
            self.check_finding(finding)

    def check_finding(self, finding: dict[str, Any]) -> None:
        self.check("A finding", finding)
        assert finding["cause"] in CAUSES
        assert finding["help"] == f"findings.md#{finding['cause']}"
        self.check("The origin", finding["origin"])
        assert finding["origin"]["role"] in ROLE_NAMES
        if "operation" in finding["origin"]:
            self.check("The operation", finding["origin"]["operation"])
        for affected in finding["affected"]:
            self.check("Affected tensors", affected)
        if "rerun" in finding:
            self.check("The re-run", finding["rerun"])

    def check_comparison(self, comparison: dict[str, Any]) -> None:
        self.check("The comparison", comparison)
        if comparison["first_difference"] is not None:
            self.check("The first difference", comparison["first_difference"])

    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_examples(self, page: Path) -> None:
        for part in parts_of(page):
            if part.kind != "json":
                continue
            example = json.loads(part.text)
            if "version" in example:
                self.check_report(example)
            elif "findings" in example:
                self.check_run(example)
            elif "cause" in example:
                self.check_finding(example)
            elif "first_difference" in example:
                self.check_comparison(example)
            else:
                pytest.fail(f"{name_of(page)}:{part.line}: an example of what?")

    def test_a_real_report(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name, lowest in (("good", 0.1), ("bad", 0.0)):
            keras.utils.set_random_seed(1)
            x = tf.linspace([lowest], [1.0], 32)
            model = keras.Sequential([keras.layers.Dense(1), keras.layers.Lambda(root)])
            model.compile("sgd", "mse")
            watch = nanwatch.Callback(f"logs/{name}", every=1)
            model.fit(x, x + 1, batch_size=8, shuffle=False, verbose=0, callbacks=[watch])
        report = json.loads(
            run_nanwatch("report", "logs/good", "logs/bad", "--compare", "--json").stdout
        )
        bad = next(run for run in report["runs"] if run["run"].endswith("bad"))
        assert bad["status"] == "nonfinite"
        assert "operation" in bad["findings"][0]["origin"]
        self.check_report(report)


def root(x: tf.Tensor) -> tf.Tensor:
    """Its gradient is infinite at 0."""
    return tf.sqrt(tf.abs(x))


def test_the_readme_is_short() -> None:
    lines = text_of(ROOT / "README.md").splitlines()
    assert len(lines) <= 130
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_a_run_is_called_a_run(page: Path) -> None:
    assert not re.search(r"\btrainings\b", text_of(page))
