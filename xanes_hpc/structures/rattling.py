"""Random displacements of all atoms, to train a network on more surroundings than were calculated."""

import json
import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from xanes_hpc.errors import ConfigError
from xanes_hpc.runtime.limits import LARGEST
from xanes_hpc.structures.sites import SiteBatch


@dataclass(frozen=True)
class Rattling:
    """Normally distributed displacements of all atoms, independent along x, y and z; cells are unchanged.

    The displacements of a structure depend only on the seed and on the structure's row in its store. Every structure
    has its own stream of the counter-based generator Philox (doi:10.1145/2063384.2063405) with the key (seed, row).

    Attributes
    ----------
    std
        Standard deviation along each axis, Å.
    seed
        Seed of the displacements.

    Raises
    ------
    ConfigError
        If the standard deviation is not above 0 and finite, or the seed is out of range.
    """

    std: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.std < math.inf:
            raise ConfigError(f"`rattle`: expected a standard deviation above 0 Å, received {self.std}")
        if not 0 <= self.seed <= LARGEST:
            raise ConfigError(f"`seed`: expected 0 to {LARGEST}, received {self.seed}")

    @property
    def text(self) -> str:
        """The JSON text that stores and plans record."""
        return json.dumps({"std": float(self.std), "seed": int(self.seed)})

    def displaced(self, batch: SiteBatch) -> SiteBatch:
        """Return a copy of the batch with displaced atoms."""
        philox = np.random.Philox(key=np.array([self.seed, 0], np.uint64))
        generator, state = np.random.Generator(philox), philox.state
        normal = np.empty_like(batch.positions)
        for row, (start, stop) in enumerate(pairwise(batch.offsets.tolist()), batch.first_structure):
            state["state"]["key"][1] = row
            philox.state = state  # start of this key's stream; a new generator takes three times as long
            generator.standard_normal(out=normal[start:stop])
        return replace(batch, positions=batch.positions + self.std * normal)
