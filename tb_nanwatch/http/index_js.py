"""`index.js`: the tab, one ES module."""

from __future__ import annotations

from importlib import resources

from werkzeug import wrappers

from tb_nanwatch.http.respond import respond

_NOT_BUILT = """\
const message =
  "NaNWatch runs from a source tree whose tab is not built. " +
  "In the repository, run: python setup.py build_frontend --inplace " +
  "(or install it: pip install -e .), then reload.";
export function render() {
  document.body.textContent = message;
}
"""
"""What the tab shows in place of a bare 404, which TensorBoard would turn into an empty page."""


def serve(request: wrappers.Request) -> wrappers.Response:
    built = resources.files("tb_nanwatch") / "static" / "index.js"
    module = built.read_bytes() if built.is_file() else _NOT_BUILT.encode()
    return respond(request, module, "text/javascript")
