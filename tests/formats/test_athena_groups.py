"""Groups of Athena projects: every one under a name of its own."""

import gzip

import numpy as np
import pytest

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum

ENERGIES = np.arange(8930.0, 9080.0, 0.5)
GROUP = """$old_group = 'g{number}';
@args = ('datatype','xmu','is_xmu','1','label','{label}','bkg_e0','8979');
@x = ({x});
@y = ({y});
[record] #

"""
LARCH = "Larch is not installed"


def project(path, *labels):
    """A project with a group for each label; that of number n has an edge step of n."""
    text = "# Athena project file -- Demeter version 0.9.21\n\n"
    for number, label in enumerate(labels, 1):
        mu = number * (0.5 + np.arctan(ENERGIES - 8979.0) / np.pi)
        x, y = (",".join(f"'{value}'" for value in values.tolist()) for values in (ENERGIES, mu))
        text += GROUP.format(number=number, label=label, x=x, y=y)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(f"{text}@journal = ();\n\n1;\n".encode()))
    return path


def step(spectrum):
    return round(float(spectrum.intensities[-1]))


def test_groups_with_equal_labels_are_numbered(tmp_path):
    pytest.importorskip("larch.io", reason=LARCH)
    path = project(tmp_path / "q.prj", "dup", "dup", "a b", "a_b", "3")
    names = ("1", "2", "dup (1)", "dup (2)", "a b", "a_b", "3", "4")
    assert [step(read_spectrum(tmp_path / f"q.prj:{name}")) for name in names] == [1, 2, 1, 2, 3, 4, 5, 4]
    with pytest.raises(FormatError, match=r"received 5 spectra: dup \(1\), dup \(2\), a b, a_b, 3"):
        read_spectrum(path)
    with pytest.raises(FormatError, match="expected spectrum 'dup', received 5 spectra"):
        read_spectrum(tmp_path / "q.prj:dup")
