"""The entry point of group `tensorboard_plugins`.

Tiny on purpose: an error while TensorBoard imports it or calls `fix_flags` would end the whole
command. Everything else is imported in `load`, whose errors TensorBoard logs and survives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorboard.plugins import base_plugin

PLUGIN_NAME = "nanwatch"


class NaNWatchPlugin(base_plugin.TBPlugin):  # type: ignore[misc]
    """The NaNWatch tab."""

    plugin_name = PLUGIN_NAME

    def __init__(self, apps: Mapping[str, Any]):
        """Serves `apps`, route to WSGI application."""
        self._apps = dict(apps)

    def get_plugin_apps(self) -> dict[str, Any]:
        return self._apps

    def is_active(self) -> bool:
        # TensorBoard asks only where its own listing shows no data of ours.
        return False

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        return base_plugin.FrontendMetadata(es_module_path="/index.js", tab_name="NaNWatch")


class NaNWatchLoader(base_plugin.TBLoader):  # type: ignore[misc]
    """Makes the plugin, and has TensorBoard keep every record."""

    def fix_flags(self, flags: Any) -> None:
        """Turns sampling off for our records, unless the user chose a number.

        TensorBoard keeps 10 to 100 events of a tag, chosen at random: the first NaN may not be
        among them.
        """
        samples = getattr(flags, "samples_per_plugin", None)
        if isinstance(samples, dict):
            samples.setdefault(PLUGIN_NAME, 0)

    def load(self, context: base_plugin.TBContext) -> NaNWatchPlugin | None:
        """The plugin; None, so no tab, under a TensorBoard that gives plugins no data."""
        if context.data_provider is None:
            return None
        from tb_nanwatch import http

        return NaNWatchPlugin(http.apps(context.data_provider))
