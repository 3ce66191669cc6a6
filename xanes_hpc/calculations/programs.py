"""The programs that calculate spectra, by name."""

from xanes_hpc.calculations.fdmnes.program import Fdmnes
from xanes_hpc.calculations.feff.program import Feff

PROGRAMS: dict[str, type[Feff] | type[Fdmnes]] = {"feff": Feff, "fdmnes": Fdmnes}
