"""What the titles of columns mean: energies, angles, detector channels, spectra, and quantities that are none.

A title is a name and a unit in brackets, after a slash or as its last word: ``Energy (Ry)``, ``E/eV``, ``energy_keV``.
Names are compared by their letters and digits only.
"""

import re
from collections.abc import Sequence
from functools import cache

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
BRACKETS = re.compile(r"^([^(\[{]*)[(\[{]([^)\]}]*)[)\]}]?(.*)$")
LONGEST = 200
"""Characters that are read of a title."""
SLASH = re.compile(r"^(.+)/(.+)$")
LAST_WORD = re.compile(r"^(.+?)[\s_.,\-]+(a\.u\.?|[^\s_.,\-/]+|cm-1)$", re.I)
WORDS_OF_UNITS = frozenset((*EV_PER, *RADIANS_PER, "nm", "cm-1", "mev", "mry", "a.u.", "a.u"))
"""Units that are known without brackets."""
GLUED = re.compile(r"^(.*)(kev|ev)$")
PLACE = "mono|monochromator|photon|incident|incoming|beam|xray|dcm|bragg"
ENERGY = re.compile(rf"({PLACE})*(energy|energies|energie|en|ener|e|omega)({PLACE}|eff)*")
OTHER_ENERGY = re.compile(
    rf"energyevrelativetoe0|({PLACE})*(energy|en|ener|e)({PLACE}|readback|rbv|achieved|actual|measured|encoder|set|"
    rf"setpoint|request(ed)?|attained|cal(ibrated)?|corr(ected)?|shifted)+"
)
"""Names of energies that hold if there is no other."""
ANGLE = re.compile(rf"({PLACE})*(angle|theta|bragg)({PLACE})*")
OTHER = frozenset((
    "k", "k1", "k2", "k3", "ka1", "kaa1", "chi", "chik", "kchi", "k2chi", "k3chi", "chik2", "chik3", "r", "rmag",
    "chir", "chirmag", "chire", "chiim", "q", "twotheta", "2theta", "tth", "wavelength", "wl", "nm", "lambda",
    "wavenumber", "frequency", "time", "seconds", "second", "sec",
))  # fmt: skip
"""Names of quantities that are neither energies nor spectra."""
COUNTING = frozenset((
    "point", "points", "pointnumber", "pt", "pts", "index", "idx", "row", "rows", "scanpoint", "encoder", "temperature",
))  # fmt: skip
"""Names of columns that count or accompany the points."""
I0, ITRANS, IFLUOR, IREFER = "i0", "itrans", "ifluor", "irefer"
CHANNELS = {
    I0: ("i0", "io", "izero", "ic0", "monitor", "i0detector"),
    ITRANS: ("itrans", "it", "itr", "i1", "ic1", "trans", "itransmission"),
    IFLUOR: ("ifluor", "if", "iff", "ifl", "ifluo", "fluor", "fluo", "fluorescence", "ifluorescence", "pips"),
    IREFER: ("irefer", "ir", "iref", "i2", "ic2", "refer", "ref", "ireference"),
}
"""Names of detector channels, in the words of the XDI dictionary."""
CHANNELS_OF = {TRANSMISSION: (I0, ITRANS), FLUORESCENCE: (I0, IFLUOR), REFERENCE: (ITRANS, IREFER)}
CHANNEL_ENDS = frozenset((
    "a", "na", "ua", "pa", "v", "mv", "amp", "amps", "cps", "cts", "count", "counts", "raw", "current", "volt",
    "volts", "det", "detector", "hz",
))  # fmt: skip
"""Last words of the title of a channel, such as ``It_A``, that are no part of its name."""
OWN_OF = {
    TRANSMISSION: ("mutrans", "normtrans", "mut", "mutransmission"),
    FLUORESCENCE: ("mufluor", "normfluor", "muf", "mufluo", "mufluorescence"),
    REFERENCE: ("murefer", "normrefer", "muref", "mur", "mureference"),
}
"""Names of spectra that say how they were measured."""
INTENSITIES = (
    "xanes", "xes", "mu", "norm", "intensity", "absorption", "xas", "xmu", "mean",
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
    if found := BRACKETS.match(title):
        return plain(found[1] + found[3]), unit_of(found[2])
    if (found := SLASH.match(title)) and is_unit(found[2]):
        return plain(found[1]), unit_of(found[2])
    if (found := LAST_WORD.match(title)) and unit_of(found[2]) in WORDS_OF_UNITS:
        return plain(found[1]), unit_of(found[2])
    name = plain(title)
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


def are_titles(words: Sequence[str], last: bool) -> bool:
    """Return True if the words of a header's line are titles: no dates or times, and above the last line, known ones.

    Examples
    --------
    >>> are_titles(["k", "chi"], last=False), are_titles(["time", "12:30"], last=True)
    (True, False)
    """
    if any(word[:1].isdigit() and parts(word)[0] not in OTHER for word in words):
        return False
    return last or sum(map(_is_known, words)) > 1


def _is_known(title: str) -> bool:
    name, unit = parts(title)
    return is_other_energy(name, unit) or name in INTENSITIES or bool(why_no_spectrum(title))


def channel(title: str) -> str:
    """Return the plain name of a channel without what describes its electronics.

    Examples
    --------
    >>> channel("i_trans_cps"), channel("It_A"), channel("if1")
    ('itrans', 'it', 'if1')
    """
    words = [word for word in re.split(r"[\W_]+", BRACKETS.sub(r"\1", title).lower()) if word]
    while len(words) > 1 and words[-1] in CHANNEL_ENDS:
        words.pop()
    return "".join(words)


def is_channel(title: str, role: str) -> bool:
    """Return True if a title is that of a detector channel, or of one of its elements."""
    name = channel(title)
    return parts(title)[0] in CHANNELS[role] or name in CHANNELS[role] or (role == IFLUOR and _element(name))


def channels_of(titles: list[str], role: str) -> list[int]:
    """Return the columns of a detector channel: those of its name, or else the elements that are numbered from 1."""
    named = [parts(title)[0] for title in titles]
    short = [channel(title) for title in titles]
    return (
        [i for i, name in enumerate(named) if name in CHANNELS[role]]
        or [i for i, name in enumerate(short) if name in CHANNELS[role]]
        or [i for i, name in enumerate(short) if role == IFLUOR and _element(name)]
    )


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


def _element(name: str) -> bool:
    return name.rstrip("0123456789") in CHANNELS[IFLUOR] and name[-1:].isdecimal()


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
