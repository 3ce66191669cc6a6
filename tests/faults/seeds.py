"""Good files of every kind that is read, which the fuzzing damages; our own code or these templates write them."""

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase.build import bulk
from support.builders import fdmnes_header, frame, table
from support.places import ARCHIVES

ENERGIES = np.linspace(7080, 7200, 121)
MU = 0.5 + np.arctan((ENERGIES - 7114.0) / 2.0) / np.pi
ROWS = table(np.column_stack([ENERGIES, MU]))
ROWS_OF_THREE = table(np.column_stack([ENERGIES, MU, MU]))
ROWS_OF_SEVEN = table(np.column_stack([ENERGIES, *6 * (MU,)]))
XDI = "# XDI/1.0\n# Element.symbol: Fe\n# Element.edge: K\n# Column.1: energy eV\n# Column.2: norm\n#---\n"
XDI_COUNTS = """# XDI/1.0 GSE/1.0
# Element.symbol: Fe
# Element.edge: K
# Mono.d_spacing: 3.13553
# Column.1: energy keV
# Column.2: i0
# Column.3: itrans
# Column.4: irefer
# ///
# a free comment
#---
# energy i0 itrans irefer
"""
CIF = """data_corundum
_cell_length_a 4.96
_cell_length_b 4.96
_cell_length_c 13.6
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_symmetry_space_group_name_H-M 'R -3 c'
_chemical_formula_sum 'Cr2 O3'
_cell_formula_units_Z 6
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Cr1 Cr 0 0 0.3475(2) 1
O1 O 0.3058 0 0.25 ?
"""
DISORDERED = """data_disordered
_cell_length_a 8
_cell_length_b 9
_cell_length_c 10
_cell_angle_alpha 90
_cell_angle_beta 95
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P -1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_disorder_assembly
_atom_site_disorder_group
Fe1 Fe 0.25 0.25 0.25 0.7 . .
Cr1 Cr 0.25 0.25 0.25 0.3 . .
O1 O 0.45 0.25 0.25 0.6 A 1
O2 O 0.45 0.32 0.25 0.4 A 2
N1 N 0.25 0.47 0.25 0.55 . 1
N2 N 0.32 0.47 0.25 0.45 . 2
C1 C 0.53 0.5 0.5 0.5 . -1
"""
ATHENA = """# Athena project file -- Demeter version 0.9.21

$old_group = 'aaaa';
@args = ('datatype','xmu','is_xmu','1','label','one','bkg_e0','7112','bkg_eshift','1.5','bkg_z','Fe','edge','K');
@x = ({x});
@y = ({y});
[record] #

$old_group = 'bbbb';
@args = ('datatype','chi','is_chi','1','label','t\\'wo','bkg_e0','7112');
@x = ('0.0','0.05','0.1','0.15');
@y = ('0.1','-0.1','0.05','0.0');
[record] #

@journal = ();

1;
"""
SMALL = """data_operations
_cell_length_a 6.0
_cell_length_b 7.0
_cell_length_c 8.0
_cell_angle_alpha 80
_cell_angle_beta 95
_cell_angle_gamma 100
loop_
_space_group_symop_operation_xyz
'x, y, z'
'-x, -y, -z'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Fe1 0 0 0
O1 0.1 0.2 0.1
"""
MMCIF = """data_SMALL
_cell.length_a 20.0
_cell.length_b 20.0
_cell.length_c 20.0
_cell.angle_alpha 90.0
_cell.angle_beta 90.0
_cell.angle_gamma 90.0
_symmetry.space_group_name_H-M 'P 1 21 1'
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.pdbx_PDB_model_num
HETATM 1 FE FE . HEM A 1 1.000 2.000 3.000 1.00 1
HETATM 2 O O . HEM A 1 1.000 2.000 4.600 1.00 1
"""
PDB = """CRYST1   20.000   20.000   20.000  90.00  90.00  90.00 P 1 21 1
MODEL        1
HETATM    1 FE   HEM A   1       1.000   2.000   3.000  1.00  0.00          FE
HETATM    2  O   HEM A   1       1.000   2.000   4.600  1.00  0.00           O
ENDMDL
END
"""
ALTERNATIVES = (
    PDB.replace("4.600  1.00", "4.600  0.60")
    .replace(" O   HEM", " O  AHEM")
    .replace("ENDMDL", "HETATM    3  O  BHEM A   1       1.000   2.900   4.200  0.40  0.00           O\nENDMDL")
)
SDF = """one
  made

  2  1  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 Fe  0  0  0  0  0  0  0  0  0  0  0  0
    1.6000    0.0000    0.0000 O   0  0  0  0  0  0  0  0  0  0  0  0
  1  2  1  0  0  0  0
M  END
> <id>
1

$$$$
"""
IPI = "# CELL(abcABC): 18.9 18.9 18.9 90.0 90.0 90.0 Step: 0 Bead: 0 positions{atomic_unit} cell{atomic_unit}"
EXTENDED = 'Lattice="8 0 0 0 8 0 0 0 8" Properties=species:S:1:pos:R:3:forces:R:3 pbc="T T T" charge=1'
FEFF = """# # comment:                                                     FEFF 9.9.1
# # Abs   Z=26 Rmt= 1.168 Rnm= 1.296 K  shell
# # Gam_ch=1.325E+00 H-L exch Vi= 0.000E+00 Vr= 0.000E+00
# # Mu=-7.233E+00eV kf=1.738E+00 Vint=-9.876E+00eV Rs_int= 2.086
#  xsedge+ 50, used to normalize mu           2.3515E-04
#  omega    e    k    mu    mu0     chi     @#
"""
FDMNES_2022 = "# FDMNES program\n# Date = 12 01 2022\n# Time = 10 h 10 mn\n"
FDMNES_INPUT = """! a comment
Filout
 oxide
Range
 -15. 0.2 60.
Radius
 6.0
Edge
 K
Absorber
 1
Energpho
Green
{kind}
 {cell} 90.0 90.0 90.0
 26 0.0 0.0 0.0
 8 0.0 0.0 {z}
Convolution
End
"""
ENDINGS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def seeds(folder: Path) -> dict[str, list[Path]]:
    """Write good files of every kind, and return their paths by kind."""
    return {**_structures(folder), **_spectra(folder), **_tables(folder), **_ours(folder)}


def _texts(folder: Path, texts: dict[str, str]) -> list[Path]:
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def _structures(folder: Path) -> dict[str, list[Path]]:
    from xanes_hpc.importing import demo_data

    (folder / "demo").mkdir()
    demo_data.write(folder / "demo", n=3, seed=1)
    first, *others = sorted((folder / "demo" / "structures").glob("*.xyz"))
    lines = first.read_text().splitlines()
    lines[1] = "CSD_code = AAAAAA | q = 1 | S = 0 | Stoichiometry = C2FeN2 | MND = 6 | 2020-2024 CSD"
    tmqm = "\n".join(lines) + "\n"
    with_forces = frame([("Fe", 0, 0, 0, 0.1, 0, 0), ("O", 0, 0, 1.6, 0, 0.1, 0)], EXTENDED)
    texts = {
        "many.xyz": "".join(path.read_text() for path in (first, *others)),
        "tmqm.xyz": f"{tmqm}\n{tmqm}",
        "ipi.xyz": frame([("Fe", 0, 0, 0), ("O", 0, 0, 3.0)], IPI) * 2,
        "mixed.xyz": frame([("Fe", 0, 0, 0)], "isolated") + with_forces + frame(comment="a=1 b=2"),
    }
    made = {"xyz": [first, *_texts(folder, texts)]}
    oxide = bulk("FeO", "rocksalt", a=4.3, cubic=True)
    for ending in ("cif", "vasp", "extxyz", "traj", "db", "xsf", "pdb", "gen", "cube", "cfg"):
        path = folder / f"oxide.{ending}"
        oxide.write(path)
        made[ending] = [path]
    made["cif"] += _texts(folder, {"symmetry.cif": CIF + SMALL})
    made["disordered"] = _texts(folder, {"disordered.cif": DISORDERED, "alternatives.pdb": ALTERNATIVES})
    made["mmcif"] = _texts(folder, {"small.cif": MMCIF})
    made["pdb"] += _texts(folder, {"small.pdb": PDB})
    made["sdf"] = _texts(folder, {"two.sdf": SDF + SDF.replace("one\n", "two\n")})
    made["compressed"] = []
    for ending, compress in ENDINGS.items():
        for source in (first, folder / "symmetry.cif", folder / "oxide.vasp"):
            path = folder / f"{source.name}{ending}"
            path.write_bytes(compress(source.read_bytes()))
            made["compressed"].append(path)
    return made


def _spectra(folder: Path) -> dict[str, list[Path]]:
    zeros, counts = np.zeros_like(MU), 2e5 * (1 + 1e-4 * (ENERGIES - 7112.0))
    beam = np.column_stack([ENERGIES / 1000, counts, counts * np.exp(-MU), counts])
    of_feff = FEFF + table(np.column_stack([ENERGIES, ENERGIES - 7110.0, zeros, MU, zeros, zeros]))
    spectra = {
        "columns.txt": ROWS,
        "columns.csv": "energy,mu\n" + ROWS.replace(" ", ","),
        "beamline.dat": "# energy i0 itrans irefer\n" + table(np.column_stack([ENERGIES, *beam.T[1:]])),
        "commas.csv": "energy;mu\n" + ROWS.replace(" ", ";").replace(".", ","),
        "repacked.dat": "ABCDEF\n energy intensity\n" + ROWS,
        "spectrum.xdi": XDI + ROWS,
        "counts.xdi": XDI_COUNTS + table(beam),
        "fdmnes.txt": fdmnes_header() + ROWS,
        "new.txt": FDMNES_2022 + fdmnes_header() + ROWS,
        "new_conv.txt": "    Energy    <xanes>\n" + ROWS,
        "xmu.dat": of_feff,
    }
    (folder / "oxide.poscar").write_bytes((folder / "oxide.vasp").read_bytes())
    inputs = {
        "molecule_in.txt": FDMNES_INPUT.format(kind="Molecule", cell="1.0 1.0 1.0", z=1.6),
        "crystal_in.txt": FDMNES_INPUT.format(kind="Crystal", cell="4.0 4.0 4.0", z=0.4),
    }
    x, y = (",".join(f"'{value}'" for value in values.tolist()) for values in (ENERGIES, MU))
    project = folder / "project.prj"
    project.write_bytes(gzip.compress(ATHENA.format(x=x, y=y).encode()))
    return {
        "spectra": _texts(folder, spectra),
        "athena": [project],
        "nexus": [_nexus(folder), _counts_in_nexus(folder / "counts.nxs", beam)],
        "fdmnes_input": _texts(folder, inputs),
        "programs": _texts(
            folder,
            {
                "xanes.dat": "# Final state angular momentum:   1\n# Energy (eV)   sigma\n" + ROWS,
                "absspct_Fe.0001_1s_01": "#   iter= 9 gam= 0.018\n# Energy Spect Spect(0)\n" + ROWS_OF_THREE,
                "EPSILON_BSE_OC11.OUT": "# exciting\n" + ROWS_OF_THREE,
                "OUTCAR": " IMAGINARY DIELECTRIC FUNCTION\n" + ROWS_OF_SEVEN + "\n REAL DIELECTRIC FUNCTION\n",
            },
        ),
        "lightshow": [folder / "xmu.dat", folder / "oxide.poscar"],
    }


def _tables(folder: Path) -> dict[str, list[Path]]:
    tables = {
        "table.csv": "name,charge,oxidation\ndemo0000,1,2\ndemo0001,0,3\n",
        "table2.csv": "CSD_code;HL_Gap;note\nAAAAAA;0.1;x\nBBBBBB;0.2;y\n",
    }
    sites = {
        "sites.csv": "site\nAAAAAA#0\nBBBBBB\n",
        "atoms.csv": "rank;Structure;atom\n1;AAAAAA;1\n2;AAAAAA;0\n3;BBBBBB;5\n",
    }
    charges = "CSD_code = AAAAAA\nFe 0.1\nO -0.2\n\nCSD_code = BBBBBB\nFe 0.3\n"
    rng = np.random.default_rng(0)
    np.savez(folder / "features.npz", x=rng.random((6, 49)), y=rng.random((6, 30)))
    texts = {"names": [f"s{k}" for k in range(6)], "formulas": "FeO", "elements": "Fe", "edges": "K", "source": "net"}
    numbers = {"x": rng.random((6, 5), np.float32), "y": rng.random((6, 30)), "e": np.linspace(-15.0, 60.0, 30)}
    np.savez_compressed(folder / "foreign.npz", labels=list("abcde"), **numbers, **texts)
    return {
        "tables": _texts(folder, tables),
        "site_lists": _texts(folder, sites),
        "charges": _texts(folder, {"charges.q": charges}),
        "npz": [folder / "features.npz", folder / "foreign.npz"],
    }


def _ours(folder: Path) -> dict[str, list[Path]]:
    descriptor = (
        'name = "wacsf"\ncutoff = 6.0\n\n[[weighting]]\nweights = "Z"\nscale = 1.0\n'
        "[weighting.g2]\nmu = [1.0, 2.0, 3.0]\neta = [4.0, 4.0, 4.0]\n"
    )
    return {
        "stores": [_as_written_now(path, folder / path.name) for path in sorted(ARCHIVES.glob("*.h5"))],
        "models": [path for k in (1, 3) for path in sorted((ARCHIVES / f"model-{k}").rglob("*")) if path.is_file()],
        "packed": [ARCHIVES / "packed-1.xanes-model"],
        "configs": [ARCHIVES / "model-3" / "run.toml"],
        "descriptors": _texts(folder, {"descriptor.toml": descriptor}),
    }


def _as_written_now(archive: Path, path: Path) -> Path:
    """Copy an archived store with texts of fixed width, as stores have them today, and return the copy's path.

    Damaged texts of variable width can keep HDF5 reading forever.
    """
    from xanes_hpc.stores.texts import fix_texts

    with h5py.File(archive) as old, h5py.File(path, "w", libver="v110") as new:
        for name in old:
            old.copy(name, new)
        for name, value in old.attrs.items():
            new.attrs[name] = value
        if "descriptor" in new:
            text = new["descriptor"][()]
            del new["descriptor"]
            new.create_dataset("descriptor", data=text, dtype=h5py.string_dtype("utf-8", len(text)))
        fix_texts(new)
    return path


def _nexus(folder: Path) -> Path:
    from xanes_hpc.prediction.export import export
    from xanes_hpc.stores.predictions import PredictionStore

    with PredictionStore(ARCHIVES / "predictions-1.h5") as store:
        export(store, folder / "nexus", "nexus")
    return sorted((folder / "nexus").glob("*.nxs"))[0]


def _counts_in_nexus(path: Path, beam: Any) -> Path:
    """Write raw counts as the definition NXxas has them."""
    with h5py.File(path, "w") as file:
        entry = _group(file, "entry", "NXentry")
        entry["definition"], entry["element"], entry["edge"] = "NXxas", "Fe", "K"
        data = _group(entry, "data", "NXdata")
        data["mode"], data.attrs["signal"] = "Transmission", "absorbed_beam"
        data["energy"], data["absorbed_beam"] = 1000 * beam[:, 0], beam[:, 2]
        incoming = _group(_group(entry, "instrument", "NXinstrument"), "incoming_beam", "NXdetector")
        incoming["data"] = beam[:, 1]
    return path


def _group(parent: Any, name: str, kind: str) -> Any:
    made = parent.create_group(name)
    made.attrs["NX_class"] = kind
    return made
