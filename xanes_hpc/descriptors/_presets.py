"""Descriptions of symmetry functions that have a name."""

from typing import Any

LANTHANOIDS = ("La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu")
SIGNS = [1, -1]
WIDE = {"style": "shifted", "n": 32, "r_min": 0.3, "r_max": 6.2}
NEAR = {"style": "shifted", "n": 24, "r_min": 1.0, "r_max": 3.6}
SHELLS = {"style": "shifted", "n": 4, "r_min": 1.2, "r_max": 3.1, "lambda": SIGNS}
CENTRED = {"style": "centred", "n": 4, "r_min": 0.5, "r_max": 4.0, "lambda": SIGNS, "zeta": [1, 2, 4, 8]}
PATHS = {"style": "shifted", "n": 24, "r_min": 1.1, "r_max": 5.3, "zeta": [0, 4, 32]}
ANGLES = {"mu": [1.7, 2.0, 2.3, 2.8], "eta": [22, 14, 8, 6], "l": list(range(1, 9))}
ANGLES_OF_ELEMENTS = {"mu": [2.0], "eta": [6.0], "l": list(range(1, 9))}
EVERY = {"weights": "one"}


def _xanesnet_2022() -> dict[str, Any]:
    """Return the 97 functions of Rankine & Penfold, doi:10.1063/5.0087255, with the first 8 of 64 angular radii."""
    g4 = {"style": "centred", "n": 64, "keep": 8, "r_min": 0.0, "r_max": 6.0, "lambda": [1, -1], "zeta": [1, 2, 4, 8]}
    g2 = {"style": "shifted", "n": 32, "r_min": 0.0, "r_max": 6.0}
    return {"cutoff": 6.0, "weighting": [{"weights": "Z", "g2": g2, "g4": g4}]}


def _xanesnet_49() -> dict[str, Any]:
    """Return the 49 functions of XANESNET's later sets, with the first 16 of 32 angular radii."""
    g4 = {"style": "centred", "n": 32, "keep": 16, "r_min": 1.0, "r_max": 6.0, "lambda": [1, -1], "zeta": [1]}
    g2 = {"style": "shifted", "n": 16, "r_min": 1.0, "r_max": 6.0}
    return {"cutoff": 6.0, "weighting": [{"weights": "Z", "scale": 0.1, "g2": g2, "g4": g4}]}


ELEMENT_CHANNELS = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "As", "Se", "Br", "I", "other")
NEAR_CHANNELS = ("H", "C", ["N", "O", "F"], ["P", "S", "Cl"], "other")


def _default() -> dict[str, Any]:
    """Return radial functions of every element, angles in the nearest shells in two forms, and paths."""
    elements = {"elements": list(NEAR_CHANNELS)}
    return {
        "cutoff": 6.0,
        "dtype": "float32",
        "weighting": [
            {"weights": "Z", "g2": WIDE},
            {"weights": "electronegativity", "g2": WIDE},
            {"elements": list(ELEMENT_CHANNELS), "g2": WIDE},
            {**elements, "cutoff": 4.0, "g2": NEAR, "g4": {**SHELLS, "zeta": [4, 16, 64]}},
            {**EVERY, "cutoff": 4.0, "g2": NEAR, "g4": {**SHELLS, "zeta": [1, 2, 4, 8, 16, 64]}},
            {**EVERY, "cutoff": 4.0, "g4": CENTRED},
            {**elements, "cutoff": 5.0, "paths": PATHS},
            {**EVERY, "cutoff": 5.0, "paths": PATHS},
            {**EVERY, "cutoff": 4.0, "power": ANGLES},
            {**elements, "cutoff": 4.0, "power": ANGLES_OF_ELEMENTS},
        ],
    }


GROUPS = (
    "O", "Cu", "H", "C", "N", "F", ["S", "Se", "Te"], ["Cl", "Br", "I"], "P", ["As", "Sb", "Bi"],
    ["Si", "Ge", "Sn", "Pb"], "B", ["Al", "Ga", "In", "Tl"], "Li", "Na", ["K", "Rb", "Cs"], ["Be", "Mg"], "Ca", "Sr",
    "Ba",
    ["Sc", "Y", *LANTHANOIDS], ["Ti", "Zr", "Hf"], ["V", "Nb", "Ta"], ["Cr", "Mo", "W"], ["Mn", "Tc", "Re"],
    ["Fe", "Ru", "Os"], ["Co", "Rh", "Ir"], ["Ni", "Pd", "Pt"], ["Ag", "Au"], ["Zn", "Cd", "Hg"], "other",
)  # fmt: skip
"""Groups of elements of inorganic matter: anions apart, cations by column of the periodic table."""
COARSE_GROUPS = (
    "O", ["H", "B", "C", "N", "F"], ["Si", "P", "S", "Cl", "As", "Se", "Br", "Te", "I"],
    ["Li", "Na", "K", "Rb", "Cs", "Be", "Mg", "Ca", "Sr", "Ba"],
    ["Sc", "Y", *LANTHANOIDS, "Ti", "Zr", "Hf", "V", "Nb", "Ta", "Cr", "Mo", "W", "Mn", "Tc", "Re", "Fe", "Ru", "Os",
     "Co", "Rh", "Ir", "Ni", "Pd", "Pt", "Cu", "Ag", "Au", "Zn", "Cd", "Hg"],
    "other",
)  # fmt: skip
"""Oxygen, other light elements, heavy anions, metals of groups 1 and 2, transition metals, and the rest."""


def _crystal() -> dict[str, Any]:
    """Return the functions of the default with groups of elements for inorganic matter, and angles between arms."""
    groups = {"elements": list(COARSE_GROUPS)}
    return {
        "cutoff": 6.0,
        "dtype": "float32",
        "weighting": [
            {"weights": "Z", "g2": WIDE},
            {"weights": "electronegativity", "g2": WIDE},
            {**EVERY, "g2": WIDE},
            {"elements": list(GROUPS), "g2": WIDE},
            {**groups, "cutoff": 4.0, "g2": NEAR, "g4": {**SHELLS, "zeta": [4, 16, 64]}},
            {**EVERY, "cutoff": 4.0, "g2": NEAR, "g4": {**SHELLS, "zeta": [1, 2, 4, 8, 16, 64]}},
            {**EVERY, "cutoff": 4.0, "g4": CENTRED},
            {**groups, "cutoff": 5.0, "paths": PATHS},
            {**EVERY, "cutoff": 5.0, "paths": PATHS},
            {**EVERY, "cutoff": 4.0, "power": ANGLES},
            {**groups, "cutoff": 4.0, "power": ANGLES_OF_ELEMENTS},
            {**EVERY, "cutoff": 3.5, "arms": {"mu": [2.0], "eta": [6.0], "angles": [*range(36, 181, 8)], "width": 8}},
            {
                **EVERY, "cutoff": 5.0,
                "arms": {"style": "shifted", "n": 12, "r_min": 1.0, "r_max": 5.0, "lambda": [-1], "zeta": [8]},
            },
        ],
    }  # fmt: skip


PRESETS = {"xanesnet-2022": _xanesnet_2022, "xanesnet-49": _xanesnet_49, "default": _default, "crystal": _crystal}
