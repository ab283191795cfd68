"""The page: one HTML file that loads nothing, with the tab's module and the answers in it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
import time
from collections.abc import Callable, Sequence
from importlib import resources

from tb_nanwatch.diagnosis import run_headline
from tb_nanwatch.logdir.runs import DiagnosedRun
from tb_nanwatch.page.answers import answers
from tb_nanwatch.printable import visible

_LEVEL = 6
"""Of gzip: 9 takes four times as long for two percent."""


class NotBuiltError(Exception):
    """The tab is not built, as in a source tree; the text says how to build it."""


def html_page(
    title: str, diagnosed: Sequence[DiagnosedRun], drawn: Callable[[], None] = lambda: None
) -> str:
    """The HTML, all ASCII; calls `drawn` after each run.

    Raises:
      NotBuiltError: where the tab's module is missing.
    """
    script = _module()
    keys, bodies = [], []
    for key, body in answers(diagnosed, drawn):
        keys.append(key)
        bodies.append(base64.b64encode(gzip.compress(body, _LEVEL, mtime=0)).decode())
    # Even if a name slipped through as markup, it could run and load nothing.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en" data-nanwatch="{time.strftime("%Y-%m-%d %H:%M")}"><head>',
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f"<title>{_text(title)}</title>",
        f'<script type="application/json" id="keys">{_json(keys)}</script>',
        *(f'<script type="application/gzip">{body}</script>' for body in bodies),
        f'<script type="module">{script}</script>',
        f"</head><body><noscript><h1>{_text(title)}</h1><ul>",
        *(_line(each) for each in diagnosed),
        "</ul><p>The heatmap needs JavaScript.</p></noscript></body></html>\n",
    ]
    return "\n".join(parts)


def _module() -> str:
    built = resources.files("tb_nanwatch") / "static" / "index.js"
    if not built.is_file():
        raise NotBuiltError(
            "the tab is not built in this source tree. Run: python setup.py build_frontend "
            "--inplace (or install it: pip install -e .)."
        )
    # The end of the element, wherever it stands in the code, is a string there; and so is all that
    # is not ASCII. A notebook or a server may read the page in another encoding.
    code = built.read_text(encoding="utf-8").replace("</script", "<\\/script")
    return re.sub(r"[^\x00-\x7f]+", lambda found: json.dumps(found[0])[1:-1], code)


def _line(diagnosed: DiagnosedRun) -> str:
    return f"<li>{_text(diagnosed.name)}: {_text(run_headline(diagnosed.verdict))}</li>"


def _text(text: str) -> str:
    """As text of the page, in ASCII."""
    return html.escape(visible(text)).encode("ascii", "xmlcharrefreplace").decode()


def _json(content: object) -> str:
    """JSON that is no markup."""
    return json.dumps(content).replace("<", "\\u003c")
