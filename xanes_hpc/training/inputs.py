"""Find the stores that a training run reads, and name the model that it writes."""

from collections.abc import Sequence
from pathlib import Path

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.errors import ConfigError
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore


def open_spectra(
    stores: Sequence[FeatureStore], named: Sequence[str | StructureStore]
) -> list[tuple[FeatureStore, StructureStore | FeatureStore]]:
    """Pair each feature store with the store of its sites' spectra: itself, the one in ``named``, or its source.

    Raises
    ------
    ConfigError
        If ``named`` is given and does not hold one store for each feature store without spectra of its own.
    StoreError
        If a store cannot be opened or holds other structures.
    """
    bare = [store for store in stores if not store.has_spectra]
    if named and len(named) != len(bare):
        raise ConfigError(
            f"`spectra`: expected {len(bare)}, one for each feature store without spectra, received {len(named)}"
        )
    given = dict(zip(bare, named, strict=True)) if named else {}
    return [(store, store if store.has_spectra else store.open_source(given.get(store))) for store in stores]


def default_output(features: Path) -> Path:
    """Return the default model folder: ``tmqm.features.h5`` trains ``tmqm.model``."""
    return features.with_name(features.name.removesuffix(".h5").removesuffix(".features") + ".model")


def find_features(run: RunConfig, folder: Path) -> list[Path]:
    """Return the feature stores to train on: the configured ones, or the only one in ``folder``.

    Raises
    ------
    ConfigError
        If none is configured and the folder holds none or several; rattled ones do not count.
    """
    if run.features:
        return [Path(path) for path in run.features]
    stores = [p for p in sorted(folder.glob("*.h5")) if hdf5.is_kind(p, "features")]
    found = [p for p in stores if not _is_rattled(p)]
    if len(found) == 1:
        return [found[0].relative_to(folder)]
    names = ", ".join(p.name for p in found[:5])
    raise ConfigError(
        f"expected one feature store, found {'several (' + names + ')' if found else 'none'} in {folder}; "
        'name one on the command line, or as features = "NAME.features.h5" in xanes-hpc.toml'
        + ("" if found else "; xanes-hpc featurise writes one")
    )


def _is_rattled(path: Path) -> bool:
    with FeatureStore(path) as store:
        return store.rattled
