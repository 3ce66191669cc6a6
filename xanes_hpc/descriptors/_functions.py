"""The kinds of symmetry functions: how each is read, labelled and computed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from ase.data import covalent_radii

from xanes_hpc.descriptors._elements import channels
from xanes_hpc.descriptors._gaussians import Gaussians, Vector, numbers
from xanes_hpc.descriptors._meaning import Meaning
from xanes_hpc.descriptors._values import is_number
from xanes_hpc.descriptors.base import N_ELEMENTS, Features
from xanes_hpc.errors import DescriptorError
from xanes_hpc.structures.neighbours import NeighbourList
from xanes_hpc_kernels import wacsf_angular, wacsf_arms, wacsf_bonded, wacsf_paths, wacsf_power, wacsf_radial

Columns = npt.NDArray[np.int64]
MOST_DEGREES = 32
"""Largest degree of a power spectrum, up to which the recurrence of the harmonics is accurate."""
RADII = np.array([*covalent_radii, *[1.6] * N_ELEMENTS][:N_ELEMENTS])
"""Covalent radii by atomic number, Å."""


@dataclass(frozen=True)
class Near:
    """The neighbours within the cutoff of some functions, and all that were looked for."""

    own: NeighbourList
    every: NeighbourList


@dataclass(frozen=True)
class Functions(ABC):
    """Functions of one kind, with their Gaussians; all channels of a weighting have them."""

    gaussians: Gaussians
    key: ClassVar[str]
    """Key in a description."""
    kind: ClassVar[str]
    """First word of the labels."""
    mixes: ClassVar[bool] = False
    """Whether functions combine channels with each other; then several weightings cannot be computed together."""

    @classmethod
    @abstractmethod
    def read(cls, where: str, given: Mapping[str, Any]) -> Self:
        """Read the functions at ``where`` in a description."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return every number, as a description has them."""

    @abstractmethod
    def factors(self) -> list[str]:
        """Return the text of each function that there is of a Gaussian."""

    @abstractmethod
    def meaning(self, channel: str, distance: float, factor: int) -> Meaning:
        """Return the meaning of a function, without its cutoff."""

    @abstractmethod
    def fill(self, near: Near, tables: Vector, cutoff: float, columns: Columns, out: Features) -> None:
        """Compute the functions of all channels.

        Parameters
        ----------
        near
            The neighbours.
        tables : (n_channels, 119)
            Weights.
        cutoff
            Cutoff, Å.
        columns : (n_channels, n_functions)
            Columns of ``out`` to write, in the order of the labels.
        """

    def labelled(self, names: Sequence[str]) -> list[tuple[str, Meaning]]:
        """Return label and meaning of each function, in the order of its columns, for channels with these names."""
        texts = list(zip(self.gaussians.texts, self.gaussians.distances, strict=True))
        return [
            (f"{self.kind} {name} {text}{factor}", self.meaning(name, distance, number))
            for name in names
            for text, distance in texts
            for number, factor in enumerate(self.factors())
        ]


@dataclass(frozen=True)
class Radial(Functions):
    """G2: equation (3) of ``kernels/README.md``."""

    key, kind = "g2", "G2"

    @classmethod
    def read(cls, where: str, given: Mapping[str, Any]) -> Self:
        return cls(Gaussians.read(where, given))

    def describe(self) -> dict[str, Any]:
        return self.gaussians.describe()

    def factors(self) -> list[str]:
        return [""]

    def meaning(self, channel: str, distance: float, factor: int) -> Meaning:
        return Meaning(self.kind, channel, distance)

    def fill(self, near: Near, tables: Vector, cutoff: float, columns: Columns, out: Features) -> None:
        own, g = near.own, self.gaussians
        wacsf_radial.g2(own.offsets, own.distances, own.numbers, tables, cutoff, g.mu, g.eta, columns, out)


@dataclass(frozen=True)
class Angular(Functions):
    """G4: equation (4)."""

    lambdas: Vector
    zetas: Vector
    key, kind = "g4", "G4"

    @classmethod
    def read(cls, where: str, given: Mapping[str, Any]) -> Self:
        gaussians = Gaussians.read(where, given, frozenset({"lambda", "zeta"}))
        lambdas, zetas = (numbers(where, given, key) for key in ("lambda", "zeta"))
        check_angular(where, lambdas, zetas)
        return cls(gaussians, lambdas, zetas)

    def describe(self) -> dict[str, Any]:
        return self.gaussians.describe() | {"lambda": self.lambdas.tolist(), "zeta": self.zetas.tolist()}

    def factors(self) -> list[str]:
        return [f" lambda={x:g} zeta={z:g}" for x in self.lambdas for z in self.zetas]

    def meaning(self, channel: str, distance: float, factor: int) -> Meaning:
        of_lambda, of_zeta = divmod(factor, self.zetas.size)
        return Meaning(self.kind, channel, distance).towards(self.lambdas[of_lambda], self.zetas[of_zeta])

    def fill(self, near: Near, tables: Vector, cutoff: float, columns: Columns, out: Features) -> None:
        own, g = near.own, self.gaussians
        columns = columns.reshape(len(tables), g.mu.size, -1)
        wacsf_angular.g4(
            own.offsets, own.distances, own.vectors, own.numbers, tables, cutoff, g.mu, g.eta, self.lambdas, self.zetas,
            columns, out,
        )  # fmt: skip


@dataclass(frozen=True)
class Paths(Functions):
    """Paths via two neighbours: equation (10)."""

    zetas: Vector
    key, kind = "paths", "path"

    @classmethod
    def read(cls, where: str, given: Mapping[str, Any]) -> Self:
        gaussians, zetas = Gaussians.read(where, given, frozenset({"zeta"})), numbers(where, given, "zeta")
        if (zetas < 0).any():
            raise DescriptorError(f"{where}: expected zeta of at least 0")
        return cls(gaussians, zetas)

    def describe(self) -> dict[str, Any]:
        return self.gaussians.describe() | {"zeta": self.zetas.tolist()}

    def factors(self) -> list[str]:
        return [f" zeta={z:g}" for z in self.zetas]

    def meaning(self, channel: str, distance: float, factor: int) -> Meaning:
        return Meaning(self.kind, channel, distance)

    def fill(self, near: Near, tables: Vector, cutoff: float, columns: Columns, out: Features) -> None:
        own, g = near.own, self.gaussians
        columns = columns.reshape(len(tables), g.mu.size, self.zetas.size)
        wacsf_paths.path_functions(
            own.offsets, own.distances, own.vectors, own.numbers, tables, cutoff, g.mu, g.eta, self.zetas, columns, out
        )


@dataclass(frozen=True)
class Power(Functions):
    """Power spectra of the neighbours' angles: equation (12), of every two channels and Gaussians."""

    degrees: Columns
    key, kind, mixes = "power", "power", True

    @classmethod
    def read(cls, where: str, given: Mapping[str, Any]) -> Self:
        gaussians, degrees = Gaussians.read(where, given, frozenset({"l"})), numbers(where, given, "l")
        if (degrees != np.rint(degrees)).any() or degrees.min() < 0 or degrees.max() > MOST_DEGREES:
            raise DescriptorError(f"{where}: expected l of whole numbers from 0 to {MOST_DEGREES}")
        return cls(gaussians, degrees.astype(np.int64))

    def describe(self) -> dict[str, Any]:
        return self.gaussians.describe() | {"l": self.degrees.tolist()}

    def factors(self) -> list[str]:
        return [f" l={degree}" for degree in self.degrees]

    def meaning(self, channel: str, distance: float, factor: int) -> Meaning:
        return Meaning(self.kind, channel, distance)

    def labelled(self, names: Sequence[str]) -> list[tuple[str, Meaning]]:
        texts = list(zip(self.gaussians.texts, self.gaussians.distances, strict=True))
        rows = [(name, text, distance) for name in names for text, distance in texts]
        found = []
        for (name, text, distance), (other, more, farther) in combinations_with_replacement(rows, 2):
            meaning = self.meaning(f"{name}*{other}", 0.5 * (distance + farther), 0)
            found += [(f"{self.kind} {name}*{other} {text} {more}{factor}", meaning) for factor in self.factors()]
        return found

    def fill(self, near: Near, tables: Vector, cutoff: float, columns: Columns, out: Features) -> None:
        own, g = near.own, self.gaussians
        wacsf_power.power_spectrum(
            own.offsets, own.distances, own.vectors, own.numbers, tables, cutoff, g.mu, g.eta, self.degrees,
            columns.reshape(-1, self.degrees.size), out,
        )  # fmt: skip


@dataclass(frozen=True)
class Arms(Functions):
    """Angles of two neighbours whatever their distance from each other: equation (13)."""

    lambdas: Vector
    zetas: Vector
    angles: Vector
    width: float
    key, kind = "arms", "arms"

    @classmethod
    def read(cls, where: str, given: Mapping[str, Any]) -> Self:
        keys = frozenset({"lambda", "zeta", "angles", "width"})
        gaussians, none = Gaussians.read(where, given, keys), np.empty(0)
        powers, turned = {"lambda", "zeta"} & set(given), {"angles", "width"} & set(given)
        if len(powers) == 1 or len(turned) == 1 or not powers | turned:
            raise DescriptorError(f"{where}: expected lambda and zeta, angles and width, or all of them")
        lambdas, zetas = (numbers(where, given, key) if powers else none for key in ("lambda", "zeta"))
        check_angular(where, lambdas, zetas)
        angles, width = numbers(where, given, "angles") if turned else none, given.get("width", 0.0)
        if turned and (not is_number(width) or not width > 0 or angles.min() < 0 or angles.max() > 180):
            raise DescriptorError(f"{where}: expected angles from 0 to 180 and a width above 0, in degrees")
        return cls(gaussians, lambdas, zetas, angles, float(width))

    def describe(self) -> dict[str, Any]:
        powers = {"lambda": self.lambdas.tolist(), "zeta": self.zetas.tolist()} if self.lambdas.size else {}
        turned = {"angles": self.angles.tolist(), "width": self.width} if self.angles.size else {}
        return self.gaussians.describe() | powers | turned

    def factors(self) -> list[str]:
        powers = [f" lambda={x:g} zeta={z:g}" for x in self.lambdas for z in self.zetas]
        return powers + [f" angle={angle:g} width={self.width:g}" for angle in self.angles]

    def meaning(self, channel: str, distance: float, factor: int) -> Meaning:
        n_powers = self.lambdas.size * self.zetas.size
        if factor >= n_powers:
            half = self.width * np.sqrt(2.0 * np.log(2.0))
            return Meaning(self.kind, channel, distance, float(self.angles[factor - n_powers]), float(half))
        of_lambda, of_zeta = divmod(factor, self.zetas.size)
        return Meaning(self.kind, channel, distance).towards(self.lambdas[of_lambda], self.zetas[of_zeta])

    def fill(self, near: Near, tables: Vector, cutoff: float, columns: Columns, out: Features) -> None:
        own, g = near.own, self.gaussians
        wacsf_arms.arms(
            own.offsets, own.distances, own.vectors, own.numbers, tables, cutoff, g.mu, g.eta, self.lambdas, self.zetas,
            np.radians(self.angles), np.radians(self.width), columns.reshape(len(tables), g.mu.size, -1), out,
        )  # fmt: skip


@dataclass(frozen=True)
class Bonded(Functions):
    """G2 weighted with the numbers of atoms bonded to each neighbour: equation (14)."""

    groups: list[Any]
    names: list[str]
    bonds: Vector
    key, kind = "bonded", "bonded"

    @classmethod
    def read(cls, where: str, given: Mapping[str, Any]) -> Self:
        gaussians = Gaussians.read(where, given, frozenset({"to"}))
        names, bonds = channels(f"{where}, to", given.get("to"))
        groups = [list(e) if isinstance(e, (list, tuple)) else e for e in given["to"]]
        return cls(gaussians, groups, names, bonds)

    def describe(self) -> dict[str, Any]:
        return self.gaussians.describe() | {"to": self.groups}

    def factors(self) -> list[str]:
        return [""]

    def meaning(self, channel: str, distance: float, factor: int) -> Meaning:
        return Meaning(self.kind, channel, distance)

    def labelled(self, names: Sequence[str]) -> list[tuple[str, Meaning]]:
        return super().labelled([f"{name}-{to}" for name in names for to in self.names])

    def fill(self, near: Near, tables: Vector, cutoff: float, columns: Columns, out: Features) -> None:
        every, g = near.every, self.gaussians
        wacsf_bonded.bonded_functions(
            every.offsets, every.distances, every.vectors, every.numbers, tables, self.bonds, RADII, cutoff,
            g.mu, g.eta, columns.reshape(len(tables), len(self.names), -1), out,
        )  # fmt: skip


KINDS: tuple[type[Functions], ...] = (Radial, Angular, Paths, Power, Arms, Bonded)
"""All kinds, in the order of their features."""
FUNCTIONS = tuple(kind.key for kind in KINDS)
"""The keys of functions in a weighting."""


def check_angular(where: str, lambdas: Vector, zetas: Vector) -> None:
    """Check the parameters of angular functions.

    Raises
    ------
    DescriptorError
        If one is out of range.
    """
    if (abs(lambdas) > 1).any() or (zetas <= 0).any():
        raise DescriptorError(f"{where}: expected lambda from -1 to 1 and zeta above 0")
