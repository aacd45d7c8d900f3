"""An Ape command that is connected to a network and tells users' mistakes in a sentence.

The only module that imports Ape; the scripts use it.
"""

from typing import Any

import click
from ape.cli import ConnectedProviderCommand
from ape.exceptions import ApeException

from clearwatt.chain.node import NodeError, Refused
from clearwatt.errors import UserError
from clearwatt.metering.statements import StoreError


class NetworkCommand(ConnectedProviderCommand):
    """`--network` as everywhere in Ape, but no traceback where a node is dead or an input is wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (UserError, NodeError, Refused, StoreError, ApeException) as error:
            raise click.ClickException(str(error)) from None
