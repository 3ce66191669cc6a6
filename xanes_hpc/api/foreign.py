"""Import features that another program made."""

from pathlib import Path
from typing import Any

from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import PathLike, opened_structures, output_path
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.features.featurise import featurise_in_memory
from xanes_hpc.features.foreign import read_foreign
from xanes_hpc.features.foreign_store import import_beside, import_foreign, import_foreign_in_memory
from xanes_hpc.features.from_arrays import FeaturesOptions
from xanes_hpc.features.pairing import PairedFeatures
from xanes_hpc.spectra.spectrum import parse_treatment
from xanes_hpc.stores.features import FeatureStore


def import_features(
    path: PathLike,
    *,
    structures: Any = None,
    source: str | None = None,
    element: str | None = None,
    edge: str | None = None,
    energies: tuple[float, float] | None = None,
    e0: float | None = None,
    shift: float | None = None,
    treatment: str | None = None,
    output: PathLike | None = None,
    overwrite: bool = False,
) -> FeatureStore:
    """Read features that another program made, such as the embeddings of a potential, into a feature store.

    The file is an ``.npz`` with an array ``x`` (n_sites, n_features). Optional arrays describe the sites (``names``,
    ``formulas``, ``elements``, ``edges``), the features (``source``, ``labels``) and spectra (``y``, ``e``).

    Parameters
    ----------
    path
        The file.
    structures
        A structure store or its path: pair the rows with its sites by name. It has the spectra.
    source
        Name of what made the features. Default: the file's own, or else the file's name.
    element, edge
        The absorbers, if the file does not say.
    energies
        First and last of evenly spaced energies of the spectra, in eV. Default: the array ``e``.
    e0, shift, treatment
        As for ``import_structures``, for the spectra in the file.
    output
        Feature store to write. By default the store stays in memory.
    overwrite
        Replace an existing output.

    Raises
    ------
    FormatError
        If an array is missing or invalid, or no row is a site of ``structures``.
    AbsorberError
        If the element is unknown.
    SpectrumError
        If spectra have no energies, or no edge at e0.
    ConfigError
        If an option applies only without ``structures``.
    StoreError
        If the output exists or cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import xanes_hpc as xh
    >>> np.savez("made.npz", x=np.ones((2, 8)), names=["a", "b"], elements="Fe", source="my network")
    >>> xh.import_features("made.npz")
    <FeatureStore in memory: 2 sites (Fe K), 8 features (foreign)>
    """
    check_arguments(import_features, locals())
    file, target = Path(path), None if output is None else output_path(output)
    if structures is None:
        edge = None if edge is None else edge.upper()
        options = FeaturesOptions(element, edge, energies, e0, shift, parse_treatment(treatment), source)
        if target is None:
            return import_foreign_in_memory(file, options)
        import_foreign(file, target, options, overwrite)
        return FeatureStore(target)
    given = {"element": element, "edge": edge, "energies": energies, "e0": e0, "shift": shift, "treatment": treatment}
    if names := [f"`{name}`" for name, value in given.items() if value is not None]:
        raise ConfigError(f"{', '.join(names)}: omit with `structures`, which has its own sites and spectra")
    store = opened_structures(structures, None, None)
    if target is None:
        found = read_foreign(file, source)
        return featurise_in_memory(
            store, found.descriptor, foreign=PairedFeatures(found, store.sites, store.path, store.site_formulas)
        )
    if store.in_memory:
        raise StoreError(f"{target}: its structures are only in memory; import them with `output` first")
    import_beside(file, store, target, source, overwrite)
    return FeatureStore(target)
