"""Check a whole store against its checksums, digests and hashes."""

from pathlib import Path

from xanes_hpc import descriptors
from xanes_hpc.analysis.inspect import refuse_other
from xanes_hpc.errors import DescriptorError, StoreError
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.graphs import HASH
from xanes_hpc.stores.verification import Findings, read_all

SITES_AT_ONCE = 4096


def verify(path: Path) -> Findings:
    """Read a whole store and check its checksums, digests and hashes against its data.

    Raises
    ------
    StoreError
        If the file is not a store or cannot be opened.
    """
    refuse_other(path)
    findings = read_all(path)
    if not findings.damage and hdf5.is_kind(path, "features"):
        try:
            with FeatureStore(path) as store:
                descriptor = descriptors.from_description(store.description)
                if descriptor.hash != store.attribute("descriptor_hash"):
                    findings.damage.append("attribute descriptor_hash: does not match the stored descriptor")
                elif descriptor.labels != hdf5.read_strings(store.file, "labels"):
                    findings.damage.append("labels: do not match the stored descriptor")
                _check_graphs(store, findings)
        except (DescriptorError, StoreError) as error:
            findings.damage.append(f"descriptor: {error}")
    return findings


def _check_graphs(store: FeatureStore, findings: Findings) -> None:
    """Read all graphs, which checks their offsets and edges, and compare their settings with the hash."""
    if store.graph is None:
        return
    if store.graph.hash != store.attribute(HASH):
        findings.damage.append(f"attribute {HASH}: does not match the settings of the graphs")
    for start in range(0, store.n_sites, SITES_AT_ONCE):
        store.read_graphs(start, min(start + SITES_AT_ONCE, store.n_sites))
