"""The base class of descriptors, which computes features of batches of sites in threads."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from xanes_hpc.descriptors._meaning import Meaning
from xanes_hpc.errors import DescriptorError, FormatError
from xanes_hpc.runtime import threads
from xanes_hpc.structures.neighbours import COINCIDENT, NeighbourList, NeighbourSearch
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc_kernels._jit import CODE

N_ELEMENTS = 119
"""Length of a table over atomic numbers: 0 (no element) to 118."""
SITES_AT_ONCE = 2048
"""Sites per unit of work of a thread, so that their neighbours stay in the processor's cache."""
PAIRS_AT_ONCE = 1 << 21
"""Maximum number of pairs (106 MiB) that a thread holds in memory, unless one site has more."""
Features = npt.NDArray[np.floating[Any]]


class Descriptor(ABC):
    """A map from each absorption site to ``n_features`` numbers, from its neighbours within ``cutoff`` (Å).

    A subclass takes its description (a mapping of plain values), sets ``cutoff``, ``dtype`` and ``labels``, and
    implements ``describe``, ``resolve`` and ``fill``.
    """

    PRESETS: ClassVar[Mapping[str, Callable[[], dict[str, Any]]]]
    code: ClassVar[str] = CODE
    """Versions of all code that the last bits of features depend on; a run resumes only with the same code. A
    descriptor with its own code may put its version here."""
    properties: tuple[str, ...] = ()
    """Names of the properties of structures or sites that it uses."""
    defaults: Mapping[str, float] = MappingProxyType({})
    """Values of these properties for sites that have none."""
    name: str
    cutoff: float
    dtype: np.dtype[Any]
    labels: list[str]

    @property
    def meanings(self) -> list[Meaning]:
        """The meaning of each feature, as far as it is known."""
        return [Meaning()] * self.n_features

    sites: Any = None
    """Default choice of sites for ``transform``, in the same form as its argument."""

    @abstractmethod
    def __init__(self, description: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the full description, from which ``from_description`` builds the same descriptor."""

    @abstractmethod
    def resolve(self) -> dict[str, Any]:
        """Return every number the features depend on, and nothing else."""

    @abstractmethod
    def fill(self, batch: SiteBatch, neighbours: NeighbourList, out: Features) -> None:
        """Write the features of the batch's sites to ``out``, shape (n_sites, n_features), of the descriptor's dtype.

        Several threads call this method at once, each with its own sites.
        """

    @property
    def n_features(self) -> int:
        """The number of features of a site."""
        return len(self.labels)

    @property
    def hash(self) -> str:
        """The hexadecimal SHA-256 of the canonical JSON of ``resolve()``."""
        text = json.dumps(self.resolve(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def compute(self, batch: SiteBatch) -> Features:
        """Return the features of every site of a batch, shape (n_sites, n_features), in the descriptor's dtype.

        Raises
        ------
        FormatError
            If positions are not finite, an atomic number is out of range, or an atom coincides with an absorber.
        """
        if not np.isfinite(batch.positions.sum()):
            raise FormatError("expected finite positions, received NaN or infinity")
        if batch.numbers.size and batch.numbers.max() >= N_ELEMENTS:
            raise FormatError(f"atomic number {batch.numbers.max()}: expected at most {N_ELEMENTS - 1}")
        search = NeighbourSearch(batch, self.cutoff)
        out = np.empty((batch.n_sites, self.n_features), self.dtype)

        def describe(first: int, last: int) -> None:
            counts = search.counts(first, last)
            for start, stop in slices(counts, PAIRS_AT_ONCE):
                describe_slice(first + start, first + stop, counts[start:stop])

        def describe_slice(start: int, stop: int, counts: npt.NDArray[np.int64]) -> None:
            neighbours = search.pairs(start, stop, counts)
            if neighbours.distances.min(initial=np.inf) < COINCIDENT:
                pair = int(neighbours.distances.argmin())
                site = start + int(np.searchsorted(neighbours.offsets, pair, side="right")) - 1
                raise FormatError(
                    f"an atom is {neighbours.distances[pair]:.3f} Å from the absorber of site {site} of the batch"
                )
            self.fill(batch.sites(start, stop), neighbours, out[start:stop])

        threads.share_out(batch.n_sites, SITES_AT_ONCE, describe)
        return out

    def fit(self, atoms: Any = None, y: Any = None) -> Self:
        """Return the descriptor unchanged, for scikit-learn's pipelines; there is nothing to fit."""
        return self

    def transform(self, atoms: Any, sites: Any = None) -> Features:
        """Return the features of sites of one ``ase.Atoms`` or a sequence of them.

        Parameters
        ----------
        atoms
            One ``ase.Atoms`` or a sequence.
        sites
            A rule for all structures: ``"first"``, ``"Fe"``, ``"all"``, …; for one ``Atoms`` an index or indices,
            0-based; for a sequence one entry per structure. By default the descriptor's own ``sites``, or else the only
            transition metal of each structure.

        Returns
        -------
        features : (n_sites, n_features)
            One row per site, in the order of the structures and of the sites within each.

        Raises
        ------
        AbsorberError
            If a site does not exist.
        FormatError
            If positions are not finite, or an atom coincides with a site.

        Examples
        --------
        >>> import xanes_hpc as xh
        >>> from ase.build import molecule
        >>> xh.load_descriptor("xanesnet-49").transform([molecule("H2O"), molecule("CH3OH")], sites="O").shape
        (2, 49)
        """
        return self.compute(SiteBatch.from_atoms(atoms, self.sites if sites is None else sites, self.properties))

    def fit_transform(self, atoms: Any, y: Any = None) -> Features:
        """Return ``transform(atoms)``, for scikit-learn's pipelines."""
        return self.transform(atoms)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return the names of the features, (n_features,), as scikit-learn's transformers do."""
        return np.array(self.labels, object)

    def __sklearn_clone__(self) -> Self:
        """Return a copy, for scikit-learn's ``clone``."""
        copy = type(self)(self.describe())
        copy.sites = self.sites
        return copy

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: a transformer that needs no fitting and takes structures, not arrays."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None, target_tags=TargetTags(required=False), transformer_tags=TransformerTags(),
            input_tags=InputTags(two_d_array=False), requires_fit=False,
        )  # fmt: skip

    def __sklearn_is_fitted__(self) -> bool:
        """Return True: there is nothing to fit."""
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.n_features} features within {self.cutoff:g} Å, {self.dtype}>"


def slices(counts: npt.NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows whose counts add up to at most ``most``, or that are a single row."""
    ends, start = np.cumsum(counts), 0
    while start < counts.size:
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield start, stop
        start = stop


def check_keys(where: str, given: Mapping[str, Any], known: set[str]) -> None:
    """Raise an error if a description has an unknown key.

    Raises
    ------
    DescriptorError
        If so; the message names the first unknown key and the known ones.
    """
    if not isinstance(given, Mapping):
        raise DescriptorError(f"{where}: expected a table of keys and values, received {given!r}")
    for key in given:
        if key not in known:
            raise DescriptorError(f"{where} has no key {key!r}; it has {', '.join(sorted(known))}")
