"""``xanes-hpc model``."""

import click

from xanes_hpc.cli.lazy_group import LazyGroup

COMMANDS = {
    "pack": "Pack a model folder into one file",
    "unpack": "Unpack a packed model into a model folder",
}


@click.group("model", cls=LazyGroup, lines=COMMANDS, prefix="model_")
def command() -> None:
    """Pack a model into one file to send, and unpack it.

    A packed model holds everything that predict needs, with a checksum of every file. A damaged one is refused.
    """
