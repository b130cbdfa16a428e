"""What TensorBoard imports when it starts.

An entry point that fails to import keeps TensorBoard itself from starting, so this imports nothing
else that can."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from tensorboard.plugins import base_plugin

if TYPE_CHECKING:
    from tensorboard_plugin_ckptscope.plugin import CkptscopePlugin


class Loader(base_plugin.TBLoader):
    """Defines the plugin's flag and makes the plugin."""

    def define_flags(self, parser: argparse.ArgumentParser) -> None:
        """Add the flag that names further hosts."""
        group = parser.add_argument_group("ckptscope plugin")
        group.add_argument(
            "--ckptscope_allowed_hosts",
            metavar="HOSTS",
            type=str,
            default="",
            help="Comma-separated names under which a proxy serves this TensorBoard. Without "
            "it the data position tab "
            "answers only to localhost, as long as TensorBoard is bound to it.",
        )

    def load(self, context: base_plugin.TBContext) -> CkptscopePlugin | None:
        """The plugin; None, and a line in the log, where something that it needs is broken."""
        try:
            from tensorboard_plugin_ckptscope.plugin import CkptscopePlugin

            return CkptscopePlugin(context)
        except (
            Exception
        ) as error:  # whatever a broken installation raises must not reach TensorBoard
            logging.getLogger(__name__).warning("the ckptscope plugin cannot be loaded: %s", error)
            return None
