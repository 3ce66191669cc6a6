"""``xanes-hpc model``."""

import click

from xanes_hpc.cli.lazy_group import LazyGroup

COMMANDS = {
    "pack": "Pack a model folder into one file.",
    "unpack": "Make a model folder of a packed model.",
}


@click.group("model", cls=LazyGroup, lines=COMMANDS, prefix="model_")
def command() -> None:
    """Pack a model into one file to send, and unpack it.

    A packed model holds all that predict needs, and the checksum of every file in it: a damaged one is refused whole.
    """
