"""Merge the scans of one sample: align, calibrate and average them, with their scatter as standard deviation."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.calibration import Calibration, by_reference, calibrated, calibration_of
from xanes_hpc.experiment.energy import NONE, REFERENCE, by_foil, foil_of
from xanes_hpc.experiment.measured_files import LeftOut, check_some, each_usable
from xanes_hpc.experiment.merged import NOISE, Merged, MergedScan, MergeOptions
from xanes_hpc.experiment.normalised import normalised
from xanes_hpc.experiment.odd_scans import correlations, odd
from xanes_hpc.experiment.scans import NONE as UNALIGNED
from xanes_hpc.experiment.scans import Scan, aligned, of_one_kind
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.averaging import Average, average, shared_by_most
from xanes_hpc.spectra.edge_step import find_edge
from xanes_hpc.spectra.glitches import without_glitches
from xanes_hpc.spectra.rebinning import Bins, even_steps, rebinned, three_regions
from xanes_hpc.spectra.rise import main_rise
from xanes_hpc.spectra.scatter import noise_level
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]

MERGED = "the merged spectrum"


def merge(
    spectra: Sequence[tuple[str, Spectrum]], options: MergeOptions | None = None,
    element: int | None = None, edge: str | None = None,
) -> Merged:  # fmt: skip
    """Merge scans of one sample.

    Scans of another element, edge or mode than most, without an edge, or unlike most, are left out. The average
    covers the range for which the number of scans times its length is largest.

    Parameters
    ----------
    spectra
        Names and spectra as read, energies ascending.
    options
        How to merge them.
    element, edge
        Atomic number and edge of the sample; by default those that files name.

    Raises
    ------
    ConfigError
        If an option is not possible, or the element is needed and not known.
    FormatError
        If the foil's file cannot be read.
    SpectrumError
        If no scan can be used, or no two overlap.
    """
    options = options or MergeOptions()
    options.check()
    scans, left_out = of_one_kind([Scan(name, spectrum) for name, spectrum in spectra], element, edge)
    element = element or next((own.spectrum.element for own in scans if own.spectrum.element), None)
    edge = edge or next((own.spectrum.edge for own in scans if own.spectrum.edge), None if element is None else "K")
    calibrate = options.energy.calibrate
    calibration = None if calibrate in (NONE, REFERENCE) else by_foil(options.energy, element, edge)

    def prepared(scan: Scan) -> Scan:
        spectrum = scan.spectrum
        if element is not None:
            spectrum = edges.in_ev(spectrum, edges.edge_energy(element, edge if edge in edges.EDGES else "K"))
        found = without_glitches(spectrum) if options.energy.deglitch else spectrum
        return replace(scan, spectrum=found, n_glitches=spectrum.energies.size - found.energies.size)

    def calibrated_alone(scan: Scan) -> Scan:
        found = by_reference(scan.spectrum, foil_of(options.energy, element, edge, scan.name))
        return replace(scan, spectrum=calibrated(scan.spectrum, found))

    def normal(scan: Scan) -> Scan:
        found = normalised(scan.spectrum, options.normalisation, element, edge)
        if found.background is None and options.normalisation.method != NONE:
            raise SpectrumError(f"{scan.name}: {found.in_words}")
        return replace(scan, spectrum=found.spectrum)

    scans = _each(prepared, scans, left_out)
    scans, unaligned = aligned(scans, options.align, options.max_shift)
    left_out += unaligned
    if calibrate == REFERENCE and options.align == UNALIGNED:
        scans = _each(calibrated_alone, scans, left_out)
    scans = _on_shared_range(_each(normal, scans, left_out), left_out)
    if calibrate == REFERENCE and options.align != UNALIGNED:
        foil = foil_of(options.energy, element, edge, scans[0].name)
        calibration = calibration_of(*_mean_reference(scans), foil, "the scans' mean reference channel")
    if calibration is not None:
        scans = [replace(own, spectrum=_moved(own.spectrum, calibration)) for own in scans]
    return _averaged(scans, left_out, calibration, options, element, edge)


def _each(do: Callable[[Scan], Scan], scans: Sequence[Scan], left_out: list[LeftOut]) -> list[Scan]:
    """Do something to each scan; those for which it fails are added to ``left_out``.

    Raises
    ------
    SpectrumError
        If it fails for all.
    """
    done, failed = each_usable(scans, do)
    left_out += failed
    check_some(done, left_out)
    return done


def _moved(spectrum: Spectrum, calibration: Calibration) -> Spectrum:
    """Return a calibrated spectrum without the note, which is one for all scans."""
    return replace(calibrated(spectrum, calibration), choices=spectrum.choices)


def _on_shared_range(scans: list[Scan], left_out: list[LeftOut]) -> list[Scan]:
    """Return the scans that cover the range that most share.

    Raises
    ------
    SpectrumError
        If no two overlap.
    """
    ends = [(own.spectrum.energies[0], own.spectrum.energies[-1]) for own in scans]
    start, stop = shared_by_most(*np.array(ends).T)
    within = [low <= start and high >= stop for low, high in ends]
    if len(scans) > 1 and sum(within) < 2:
        listed = ", ".join(f"{own.name} {low:g} to {high:g} eV" for own, (low, high) in zip(scans, ends, strict=True))
        raise SpectrumError(f"no two scans overlap in most of their range: {listed}")
    kept = []
    for scan, (low, high), inside in zip(scans, ends, within, strict=True):
        if not inside:
            reason = f"{scan.name}: covers {low:g} to {high:g} eV only; the others share {start:g} to {stop:g} eV"
            left_out.append(LeftOut(scan.name, reason))
            continue
        kept.append(scan)
    return kept


def _mean_reference(scans: Sequence[Scan]) -> tuple[Array, Array]:
    """Return the mean of the reference channels that have an edge, at the energies of the first of them.

    Raises
    ------
    SpectrumError
        If none has.
    """
    every = [own.spectrum for own in scans if own.spectrum.reference is not None]
    if not every:
        raise SpectrumError("no scan has a usable reference channel; expected irefer beside itrans, or murefer")
    every = [own for own in every if _reference_rises(own)] or every[:1]
    start, stop = max(own.energies[0] for own in every), min(own.energies[-1] for own in every)
    grid = every[0].energies[(every[0].energies >= start) & (every[0].energies <= stop)]
    found = [rebinned(own, grid).reference for own in every]
    return grid, np.mean([one for one in found if one is not None], axis=0)


def _reference_rises(spectrum: Spectrum) -> bool:
    return spectrum.reference is not None and main_rise(spectrum.energies, spectrum.reference) is not None


def _averaged(
    scans: Sequence[Scan], left_out: list[LeftOut], calibration: Calibration | None, options: MergeOptions,
    element: int | None, edge: str | None,
) -> Merged:  # fmt: skip
    """Average prepared scans that share a range."""
    grid = _grid(scans, options)
    bins = [Bins(own.spectrum.energies, grid) for own in scans]
    values = np.stack([one.means(own.spectrum.intensities) for one, own in zip(bins, scans, strict=True)])
    weights = np.ones(len(scans))
    if options.weights == NOISE:
        weights = np.array([_weight(own.spectrum) for own in scans])
    weights = weights / weights.sum()
    found = average(grid, values, weights, np.stack([one.kept for one in bins]))
    first = scans[0].spectrum
    sigma: Array | None = found.error
    if len(scans) == 1:
        sigma = None if first.sigma is None else bins[0].sigma(first.sigma)
    references = [
        one.means(own.spectrum.reference)
        for one, own in zip(bins, scans, strict=True)
        if own.spectrum.reference is not None
    ]
    modes = {own.spectrum.mode for own in scans}
    spectrum = replace(
        first, energies=grid, intensities=found.mean, sigma=sigma, source=MERGED, choices=(), element=element,
        edge=edge, mode=modes.pop() if len(modes) == 1 else "", e_edge=None,
        reference=weights @ np.stack(references) if len(references) == len(scans) else None,
    )  # fmt: skip
    listed = _listed(scans, weights, grid, found)
    said = odd(listed, grid, found.mean, found.residuals)
    choices = [(*own.spectrum.choices, *told) for own, told in zip(scans, said, strict=True)]
    if calibration is not None:
        choices[0] += calibration.doubts
    return Merged(
        spectrum, found.scatter, listed, left_out, calibration, found.pooled, found.mean + found.residuals, choices
    )


def _grid(scans: Sequence[Scan], options: MergeOptions) -> Array:
    """Return the energies of the average, within the range that the scans share."""
    start = max(own.spectrum.energies[0] for own in scans)
    stop = min(own.spectrum.energies[-1] for own in scans)
    first = scans[0].spectrum
    own = first.energies[(first.energies >= start) & (first.energies <= stop)]
    if options.step is not None:
        return even_steps(own, options.step)
    if options.rebin:
        return three_regions(own, find_edge(first.energies, first.intensities))
    return np.asarray(own)


def _weight(spectrum: Spectrum) -> float:
    """Return one over the variance of a spectrum's noise, in units of its range."""
    noise = noise_level(spectrum.energies, spectrum.intensities) / float(np.ptp(spectrum.intensities))
    return float(1.0 / max(noise, np.finfo(float).eps) ** 2)


def _listed(scans: Sequence[Scan], weights: Array, grid: Array, found: Average) -> list[MergedScan]:
    size = float(np.ptp(found.mean)) or 1.0
    rms = np.sqrt(np.mean(np.square(found.residuals), axis=1)) / size
    alike = correlations(grid, found.mean + found.residuals)
    figures = zip(weights.tolist(), found.factors.tolist(), rms.tolist(), alike, strict=True)
    return [
        MergedScan(scan.name, scan.shift, scan.by, weight, scan.n_glitches, scale, residual, correlated)
        for scan, (weight, scale, residual, correlated) in zip(scans, figures, strict=True)
    ]
