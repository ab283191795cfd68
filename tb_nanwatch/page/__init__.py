"""The tab as one file: its module and the server's answers in a page that needs no server.

- `answers`: what the tab will ask of its server, answered in advance.
- `document`: the page.
"""

from __future__ import annotations

from tb_nanwatch.page.document import NotBuiltError, html_page

__all__ = ["NotBuiltError", "html_page"]
