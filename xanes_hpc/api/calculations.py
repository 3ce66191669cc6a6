"""Calculate spectra with FEFF or FDMNES, and grow a set of them, from Python."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import PathLike, site_choice
from xanes_hpc.calculations import calculate as library
from xanes_hpc.calculations.calculate import Calculated
from xanes_hpc.calculations.program import hashable
from xanes_hpc.calculations.programs import PROGRAMS
from xanes_hpc.calculations.write import unmade
from xanes_hpc.campaigns import grow as campaigns
from xanes_hpc.campaigns.course import Course
from xanes_hpc.campaigns.settings import load_campaign
from xanes_hpc.errors import ConfigError
from xanes_hpc.formats.site_lists import SiteList
from xanes_hpc.runtime.nearest import did_you_mean
from xanes_hpc.stores.structures import StructureStore


def calculate(
    store: PathLike,
    *,
    program: Literal["feff", "fdmnes"] = "feff",
    command: str | None = None,
    sites: Any = None,
    workers: int | None = None,
    limit: float | None = None,
    replace_others: bool = False,
    retry: bool = False,
    restart: bool = False,
    **settings: Any,
) -> Calculated:
    """Calculate the spectra of a store's sites, and add them to the store.

    Parameters
    ----------
    store
        Path of the structure store. While the calculations run, a folder beside it keeps what is done, and a stopped
        run continues from there.
    program, command
        The program; and for FDMNES its name or path.
    sites
        Table of sites, or list of names. Default: all. Sites that have a spectrum by the program with these settings
        are left out, unless ``replace_others`` is set.
    workers
        Number of processes. Default: one per core.
    limit
        Time limit of a site, s.
    replace_others
        Calculate sites again, and replace their spectra.
    retry, restart
        Calculate sites again that failed in a stopped run; discard the stopped run.
    **settings
        Settings of the program, as the fields of ``formats.feff_input.Settings`` or ``formats.fdmnes_input.Settings``.

    Raises
    ------
    ConfigError
        If the program is not installed, a setting is unknown, or the folder has calculations with other settings.
    FormatError
        If a setting is invalid, or no site could be calculated.
    StoreError
        If the store cannot be read or written.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> from ase.build import molecule
    >>> store = xh.import_structures(molecule("H2O"), sites="O", output="water.h5")
    >>> done = xh.calculate("water.h5", scf_radius=0.0, core_hole="none", energies=(-5, 5, 40), workers=1)
    >>> done.states["good"], done.not_good
    (1, [])
    """
    check_arguments(calculate, locals())
    kind = PROGRAMS[program]
    chosen = kind()
    for name in settings:
        if name not in chosen.settings:
            known = ", ".join(chosen.settings)
            raise ConfigError(f"unknown setting {name!r}{did_you_mean(name, chosen.settings, f'it has {known}')}")
    own = {name: hashable(list(value) if isinstance(value, tuple) else value) for name, value in settings.items()}
    asked: Any = replace(chosen.asked, **own)
    using = kind(asked, command or chosen.program)
    using.check()
    using.check_installed()
    with StructureStore(Path(store)) as opened:
        choice = site_choice(sites)
        rows = None if choice is None else opened.sites.rows_of(SiteList(choice), opened.path)
        if not replace_others:
            rows = unmade(opened, using, rows)
        if rows is not None and not rows.size:
            return Calculated()
        calculations = library.Calculations.new(opened, using, rows, restart=restart)
        done = calculations.run(None, limit, workers, retry)
        calculations.finish(replace_others)
    return done


def grow(campaign: PathLike) -> Course:
    """Run a campaign: select sites of a pool, calculate, train, and measure, in rounds until its end.

    Parameters
    ----------
    campaign
        TOML file with its settings. A folder ``NAME.campaign`` beside it holds everything, and a stopped campaign
        continues from there.

    Raises
    ------
    ConfigError
        If a setting is unknown or invalid, or the folder has rounds with other settings.

    Examples
    --------
    Settings are checked before anything is calculated:

    >>> from pathlib import Path
    >>> import xanes_hpc as xh
    >>> Path("iron.toml").write_text('[campaign]\\npool = "complexes.h5"\\nbatches = 50\\n')
    46
    >>> xh.grow("iron.toml")
    Traceback (most recent call last):
        ...
    xanes_hpc.errors.ConfigError: iron.toml, [campaign]: unknown key 'batches'; did you mean 'batch'?
    """
    check_arguments(grow, locals())
    return campaigns.grow(load_campaign(Path(campaign)))
