"""What the titles of columns mean: energies, angles, spectra, and quantities that are none.

A title is a name and a unit in brackets, after a slash or as its last word: ``Energy (Ry)``, ``E/eV``, ``energy_keV``.
Names are compared by their letters and digits only.
"""

import re
from collections.abc import Sequence
from functools import cache

from xanes_hpc.formats.channel_titles import BRACKETS, CHANNELS, LONGEST, is_channel
from xanes_hpc.formats.read_options import FLUORESCENCE, REFERENCE, TRANSMISSION

RYDBERG, HARTREE = 13.605693, 27.211386
EV_PER = {
    "ev": 1.0, "electronvolt": 1.0, "electronvolts": 1.0, "kev": 1000.0,
    **dict.fromkeys(("ry", "ryd", "rydberg", "rydbergs"), RYDBERG),
    **dict.fromkeys(("ha", "hartree", "hartrees", "eh"), HARTREE),
}  # fmt: skip
"""Units of energy, in eV."""
KNOWN_ENERGIES = "expected energies in eV, keV, Ry or hartree"
RADIANS_PER = {
    **dict.fromkeys(("deg", "degs", "degree", "degrees", "°"), 0.017453292519943295),
    **dict.fromkeys(("rad", "rads", "radian", "radians"), 1.0),
    "mrad": 0.001, "mdeg": 0.017453292519943295e-3,
}  # fmt: skip
"""Units of angles, in radians."""
OTHER_UNITS = frozenset((
    "nm", "pm", "um", "µm", "a", "å", "angstrom", "angstroms", "ang", "cm", "m", "cm-1", "cm^-1", "cm^{-1}", "1/cm",
    "a^-1", "1/a", "å^-1", "1/å", "a-1", "å-1", "j", "joule", "joules", "mev", "mry", "mha", "mhartree",
    "au", "a.u.", "hz", "thz", "k",
    "kj/mol", "kcal/mol", "steps", "step", "s", "sec", "ms", "min", "v", "volt", "volts", "counts", "count", "cts",
    "cps", "c/s", "counts/s", "1/s", "arb", "arb.units", "arb.u.", "arb.u", "arbitrary", "arbitraryunits", "norm.",
    "%", "none", "-",
))  # fmt: skip
"""Units, as in a row below the titles, that no energy has."""
SLASH = re.compile(r"^(.+)/(.+)$")
LAST_WORD = re.compile(r"^(.+?)[\s_.,\-]+(a\.u\.?|[^\s_.,\-/]+|cm-1)$", re.I)
WORDS_OF_UNITS = frozenset((*EV_PER, *RADIANS_PER, "nm", "cm-1", "mev", "mry", "a.u.", "a.u"))
"""Units that are known without brackets."""
GLUED = re.compile(r"^(.*)(kev|ev)$")
PLACE = r"mono\d*|monochromator|photon|incident|incoming|beam|xray|dcm|bragg|qexafs|zap"
ENERGY = re.compile(rf"({PLACE})*(energy|energies|energie|en|ener|e|omega)({PLACE}|eff)*")
MEASURED = "readback|rbv|achieved|actual|measured|encoder|attained|cal(ibrated)?|corr(ected)?"
SET = "set|setpoint|request(ed)?|shifted"
OTHER_ENERGY = re.compile(
    rf"energyevrelativetoe0|({PLACE})*(energy|en|ener|e)({PLACE}|{MEASURED}|{SET})+|"
    rf"({PLACE})*({MEASURED}|{SET})+({PLACE})*energy"
)
"""Names of energies that hold if there is no other."""
MEASURED_ENERGY = re.compile(rf"({PLACE})*((energy|en|ener|e)({PLACE})*({MEASURED})+|({MEASURED})+({PLACE})*energy)")
"""Names of measured energies, which hold before those that were asked for."""
ANGLE = re.compile(rf"({PLACE})*(angle|theta|bragg)(o|{PLACE})*")
OTHER = frozenset((
    "k", "k1", "k2", "k3", "ka1", "kaa1", "chi", "chik", "kchi", "k2chi", "k3chi", "chik2", "chik3", "r", "rmag",
    "chir", "chirmag", "chire", "chiim", "q", "twotheta", "2theta", "tth", "wavelength", "wl", "nm", "lambda",
    "wavenumber", "frequency", "time", "seconds", "second", "sec",
))  # fmt: skip
"""Names of quantities that are neither energies nor spectra."""
WAVENUMBERS = frozenset(("k", "k1", "ka1", "kaa1", "kw", "wavenumber", "kspace"))
WEIGHTED = frozenset(("chik", "kchi", "k2chi", "k3chi", "kchik", "k2chik", "k3chik", "chik2", "chik3"))
CHIS = frozenset(("chi", *WEIGHTED))
"""Names of the columns of EXAFS."""
COUNTING = frozenset((
    "point", "points", "pointnumber", "pt", "pts", "index", "idx", "row", "rows", "scanpoint", "encoder", "temperature",
))  # fmt: skip
"""Names of columns that count or accompany the points."""
LOGARITHMS = frozenset(f"ln{i0}{it}" for i0 in ("i0", "io") for it in ("it", "i1", "itrans", "i"))
"""Names of ln(i0/itrans), by letters and digits only."""
OWN_OF = {
    TRANSMISSION: ("mutrans", "normtrans", "mut", "mutransmission", *sorted(LOGARITHMS)),
    FLUORESCENCE: ("mufluor", "normfluor", "muf", "mufluo", "mufluorescence"),
    REFERENCE: ("murefer", "normrefer", "muref", "mur", "mureference"),
}
"""Names of spectra that say how they were measured."""
INTENSITIES = (
    "xanes", "xes", "mu", "norm", "intensity", "absorption", "xas", "xmu", "mean", "average", "avg",
    "mumean", "meanmu", "muavg", "xmuavg", "mue",
    *(name for mode in (TRANSMISSION, FLUORESCENCE) for name in OWN_OF[mode]),
)  # fmt: skip
"""Names of spectra."""
PLAIN_SPECTRA = frozenset(
    (*INTENSITIES, "flat", "normalised", "normalized", "absorbance", "abs", "i", "y", "tey", "tfy", "pfy", "spectrum")
)
"""Names that need no comment beside a single column of energies."""
ERRORS = "sigma|stddev|stdev|stderr|err|errors?|uncertainty|standarderror|standarddeviation"
SIGMA = re.compile(ERRORS)
"""Names of standard deviations."""
SIGMA_OF = rf"({ERRORS}|std|delta)(of)?{{0}}|{{0}}({ERRORS}|std|delta)"
"""Names of the standard deviations of the spectrum with a name."""
COUNTS = re.compile(
    r"(counts?|cnts?|cts|cps|counter|detector|det|ionchamber|ionch|chamber|ic|roi|scaler|channel|ch|mca|icr|ocr)\d*"
)
NO_SPECTRUM = re.compile(
    r"(d|d2|d\d*)(mu|norm|xmu|flat|xanes|absorption|i)(d?e2?)?|deriv\w*|der|diff\w*|bkgd?|bg|background|baseline|pre|preedge|"
    r"post|postedge|err|errors?|std|stdev|stddev|uncertainty|temp|temperature|ring|current|gain|dark|\w+dark|dwell|"
    r"livetime|deadtime|weights?|residual|pressure|position"
)
"""Words in the titles of derivatives, backgrounds, errors and what else is no spectrum."""


def plain(text: str) -> str:
    """Return the letters and digits of a title in lower case.

    Examples
    --------
    >>> plain("Energy (eV)"), plain("I_0")
    ('energyev', 'i0')
    """
    return re.sub("[^a-z0-9]", "", text.lower())


@cache
def parts(title: str) -> tuple[str, str]:
    """Return the plain name and the unit (lower case, empty if there is none) of a title.

    Examples
    --------
    >>> parts("Energy (Ry)"), parts("E/eV"), parts("energy_keV"), parts("dmu/dE")
    (('energy', 'ry'), ('e', 'ev'), ('energy', 'kev'), ('dmude', ''))
    """
    title = title.strip()[:LONGEST]
    if (name := plain(title)) in LOGARITHMS:
        return name, ""
    if found := BRACKETS.match(title):
        return plain(found[1] + found[3]), unit_of(found[2])
    if (found := SLASH.match(title)) and is_unit(found[2]):
        return plain(found[1]), unit_of(found[2])
    if (found := LAST_WORD.match(title)) and unit_of(found[2]) in WORDS_OF_UNITS:
        return plain(found[1]), unit_of(found[2])
    if name in ("ev", "kev"):
        return "", name
    if (glued := GLUED.match(name)) and ENERGY.fullmatch(glued[1]):
        return glued[1], glued[2]
    return name, ""


def unit_of(text: str) -> str:
    """Return a unit as it is compared: in lower case, without brackets and blanks."""
    return re.sub(r"[\s()\[\]{}]", "", text.lower()).replace("−", "-")


def is_unit(text: str) -> bool:
    """Return True if a text is a unit, or stands for none, as in a row below the titles."""
    unit = unit_of(text)
    return not unit or unit in EV_PER or unit in RADIANS_PER or unit in OTHER_UNITS


def is_energy(name: str, unit: str) -> bool:
    """Return True if a column with a name and a unit holds energies."""
    return bool(ENERGY.fullmatch(name)) or (not name and unit in EV_PER)


def is_other_energy(name: str, unit: str) -> bool:
    """Return True if a column holds energies unless another does better."""
    return bool(name) and (bool(OTHER_ENERGY.fullmatch(name)) or unit in EV_PER)


def is_angle(name: str, unit: str) -> bool:
    """Return True if a column with a name and a unit holds angles of the monochromator."""
    return bool(ANGLE.fullmatch(name)) or unit in RADIANS_PER


def are_titles(words: Sequence[str]) -> bool:
    """Return True if the words of a header's line may be titles: no dates or times.

    Examples
    --------
    >>> are_titles(["k", "chi"]), are_titles(["time", "12:30"])
    (True, False)
    """
    return not any(word[:1].isdigit() and parts(word)[0] not in OTHER for word in words)


def n_known(words: Sequence[str]) -> int:
    """Return how many titles are known, as energies, spectra or what is neither."""
    return sum(map(_is_known, words))


def _is_known(title: str) -> bool:
    name, unit = parts(title)
    return is_other_energy(name, unit) or name in INTENSITIES or bool(why_no_spectrum(title))


def sigma_of(titles: Sequence[str], spectrum: str) -> int | None:
    """Return the column with the standard deviations of a spectrum; None if none is unmistakable.

    Parameters
    ----------
    titles
        Titles of the columns.
    spectrum
        Plain name of the spectrum's own column.

    Examples
    --------
    >>> sigma_of(["energy", "mu", "i0", "mu_std"], "mu"), sigma_of(["energy", "mu", "sigma"], "mu")
    (3, 2)
    >>> sigma_of(["energy", "mu", "dmu"], "mu"), sigma_of(["energy", "mu", "err", "sigma"], "mu")
    (None, None)
    """
    names = [parts(title)[0] for title in titles]
    own = re.compile(SIGMA_OF.format(re.escape(spectrum)))
    for pattern in (own, SIGMA):
        if found := [i for i, name in enumerate(names) if pattern.fullmatch(name)]:
            return found[0] if len(found) == 1 else None
    return None


def why_no_spectrum(title: str) -> str:
    """Return what a column holds that is no spectrum, in words; empty if it may be one.

    Examples
    --------
    >>> why_no_spectrum("dmu/dE"), why_no_spectrum("i_trans_cps"), why_no_spectrum("alpha")
    ('the column dmu/dE', 'the counts of i_trans_cps alone', '')
    """
    name, unit = parts(title)
    if name in PLAIN_SPECTRA:
        return ""
    if is_angle(name, unit) or is_energy(name, unit) or name in OTHER or name in COUNTING:
        return f"the column {title}"
    words = [word for word in re.split(r"[\W_]+", title[:LONGEST].lower()) if word]
    if any(NO_SPECTRUM.fullmatch(word) for word in (name, *words)):
        return f"the column {title}"
    if any(is_channel(title, role) for role in CHANNELS) or any(COUNTS.fullmatch(word) for word in (name, *words)):
        return f"the counts of {title} alone"
    return ""
