"""Read scans from files to merge them, and write what comes of it as XDI."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.experiment.measured_files import measured_files, named_twice, read_usable
from xanes_hpc.experiment.merged import Merged, MergeOptions
from xanes_hpc.experiment.merging import MERGED, merge
from xanes_hpc.formats import xdi_measured
from xanes_hpc.formats.read_options import AS_FOUND, ReadOptions
from xanes_hpc.structures.absorbers import given_element


def merge_files(
    named: Iterable[Path], options: MergeOptions | None = None, reading: ReadOptions = AS_FOUND,
    absorber: str | None = None, edge: str | None = None, to_write: bool = False,
) -> tuple[Merged, list[Path]]:  # fmt: skip
    """Merge the scans in files, and return also the files that were merged.

    Parameters
    ----------
    named
        Files, folders, patterns and projects, as for ``measured_files``.
    options
        How to merge them.
    reading
        How to read them.
    absorber, edge
        Element symbol and edge of the sample; by default those that files name.
    to_write
        Whether the result is to be written, which needs the element.

    Raises
    ------
    XanesHpcError
        If an option is not possible, or no scan can be used.
    """
    named, element = list(named), given_element(absorber)
    read, left_out = read_usable(measured_files(named), lambda path: read_experiment(path, reading))
    if to_write and element is None and all(own.element is None for _, own in read):
        raise xdi_measured.without_element(MERGED)
    spectra, paths = [(file.name, own) for file, own in read], {file.name: file.path for file, _ in read}
    merged = merge(spectra, options, element, None if edge is None else edge.upper())
    merged.left_out[:0] = [*left_out, *named_twice(named)]
    return merged, [paths[own.name] for own in merged.scans]


def write(path: Path, merged: Merged, sources: Sequence[Path] = ()) -> None:
    """Write merged scans as XDI: their mean, sigma and scatter, and in the header each scan with its shift.

    Parameters
    ----------
    path
        The file.
    merged
        The merged scans.
    sources
        The files that were merged; what their headers say alike is carried over.

    Raises
    ------
    FormatError
        If the element is not known.
    """
    items = xdi_measured.shared_items(sources)
    own = {"merged": f"{len(merged.scans)} scans, {merged.spectrum.intensities.size} points"}
    for k, scan in enumerate(merged.scans, 1):
        by = f" by {scan.aligned_by}" if scan.aligned_by else ", not aligned"
        glitches = f", {scan.n_glitches} glitches left out" if scan.n_glitches else ""
        own[f"scan_{k}"] = f"{scan.name}: shift {scan.shift:+.3f} eV{by}, weight {scan.weight:.4f}{glitches}"
    for k, one in enumerate(merged.left_out, 1):
        own[f"left_out_{k}"] = one.reason
    if merged.calibration is not None:
        own["calibration"] = merged.calibration.in_words
    own["sigma"] = merged.sigma_in_words
    comments = [f"The mean of {len(merged.scans)} scans; sigma is its standard error, scatter that of one scan."]
    if "mono.d_spacing" not in {name.lower() for name in items}:
        comments.append("Mono.d_spacing is not given, because the scans do not say it alike.")
    scatter = merged.scatter if len(merged.scans) > 1 else None
    xdi_measured.write(path, merged.spectrum, scatter, items, own, comments)
