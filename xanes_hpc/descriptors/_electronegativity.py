"""Electronegativities on the Pauling scale.

CRC Handbook of Chemistry and Physics, 86th ed. (CRC Press, 2005), p. 9-77, for the most common oxidation states, after
L. Pauling, The Nature of the Chemical Bond, 3rd ed. (1960), revised by A. L. Allred, J. Inorg. Nucl. Chem. 17, 215
(1961), doi:10.1016/0022-1902(61)80142-5. Other compilations differ for heavy elements, such as W, Pt, Au, Hg and Pb.

He, Ne, Ar, Kr, Rn, Pm, Eu, Tb, Yb and all elements from Am on have no value there, and none here.
"""

# fmt: off
PAULING = {
    "H": 2.20,
    "Li": 0.98, "Be": 1.57, "B": 2.04, "C": 2.55, "N": 3.04, "O": 3.44, "F": 3.98,
    "Na": 0.93, "Mg": 1.31, "Al": 1.61, "Si": 1.90, "P": 2.19, "S": 2.58, "Cl": 3.16,
    "K": 0.82, "Ca": 1.00, "Sc": 1.36, "Ti": 1.54, "V": 1.63, "Cr": 1.66, "Mn": 1.55, "Fe": 1.83, "Co": 1.88,
    "Ni": 1.91, "Cu": 1.90, "Zn": 1.65, "Ga": 1.81, "Ge": 2.01, "As": 2.18, "Se": 2.55, "Br": 2.96,
    "Rb": 0.82, "Sr": 0.95, "Y": 1.22, "Zr": 1.33, "Nb": 1.6, "Mo": 2.16, "Tc": 2.10, "Ru": 2.2, "Rh": 2.28,
    "Pd": 2.20, "Ag": 1.93, "Cd": 1.69, "In": 1.78, "Sn": 1.96, "Sb": 2.05, "Te": 2.1, "I": 2.66, "Xe": 2.60,
    "Cs": 0.79, "Ba": 0.89,
    "La": 1.10, "Ce": 1.12, "Pr": 1.13, "Nd": 1.14, "Sm": 1.17, "Gd": 1.20, "Dy": 1.22, "Ho": 1.23, "Er": 1.24,
    "Tm": 1.25, "Lu": 1.0,
    "Hf": 1.3, "Ta": 1.5, "W": 1.7, "Re": 1.9, "Os": 2.2, "Ir": 2.2, "Pt": 2.2, "Au": 2.4, "Hg": 1.9,
    "Tl": 1.8, "Pb": 1.8, "Bi": 1.9, "Po": 2.0, "At": 2.2,
    "Fr": 0.7, "Ra": 0.9, "Ac": 1.1, "Th": 1.3, "Pa": 1.5, "U": 1.7, "Np": 1.3, "Pu": 1.3,
}
# fmt: on
"""Electronegativity (dimensionless) by element symbol."""
