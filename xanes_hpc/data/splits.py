"""Split sites into training, validation, calibration and test sets, keeping groups together."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xanes_hpc.config.sections import SplitConfig
from xanes_hpc.errors import ConfigError
from xanes_hpc.models.training_sites import LEFT_OUT, SETS


def split(
    groups: Sequence[str], usable: npt.NDArray[np.bool_], config: SplitConfig, seed: int
) -> npt.NDArray[np.uint8]:
    """Return the set of every site, as an index into ``SETS``, or ``LEFT_OUT``.

    Groups are shuffled into an order that depends only on their names and the seed. In this order they fill the test,
    calibration and validation sets up to their fractions of the usable sites; the rest is the training set. With n
    folds, the test set consists of every n-th group instead: by default from the first on.

    Parameters
    ----------
    groups
        Group of each site; all sites of a group belong to the same set.
    usable
        Whether each site has a target; the others are left out.
    config, seed
        Fractions, and the seed of the order.

    Raises
    ------
    ConfigError
        If a set that should have sites gets none.
    """
    sets = np.full(len(groups), LEFT_OUT, np.uint8)
    members: dict[str, list[int]] = {}
    for site in np.flatnonzero(usable):
        members.setdefault(groups[int(site)], []).append(int(site))
    order = sorted(members, key=lambda g: hashlib.sha256(f"{seed}\0{g}".encode()).digest())
    total = int(usable.sum())
    if config.folds and len(order) < config.folds:
        raise ConfigError(f"split: {len(order)} groups are too few for {config.folds} folds")
    if config.folds:
        fold = config.fold or 0
        for group in order[fold :: config.folds]:
            sets[members[group]] = SETS.index("test")
        order = [group for i, group in enumerate(order) if i % config.folds != fold]
    dealt = ("calibration", "validation") if config.folds else ("test", "calibration", "validation")
    wanted = {name: getattr(config, name) * total for name in dealt}
    sizes = dict.fromkeys(wanted, 0)
    for group in order:
        for name, size in wanted.items():
            if sizes[name] < size:
                sizes[name] += len(members[group])
                sets[members[group]] = SETS.index(name)
                break
        else:
            sets[members[group]] = SETS.index("train")
    counts = np.bincount(sets, minlength=LEFT_OUT + 1)
    for i, name in enumerate(SETS):
        if not counts[i] and (name == "train" or wanted.get(name)):
            empty = "training" if name == "train" else name
            raise ConfigError(
                f"split: {total} sites in {len(members)} groups leave none for the {empty} set; "
                "use more sites, smaller fractions, or another [split] group"
            )
    return sets
