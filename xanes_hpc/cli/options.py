"""Options that several commands share, and how options are grouped."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import reduce, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from xanes_hpc.cli.choices import EDGE, Known
from xanes_hpc.cli.command import JSON_TARGET, OutputPath, not_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from xanes_hpc.stores.features import FeatureStore
    from xanes_hpc.stores.predictions import PredictionStore
    from xanes_hpc.stores.structures import StructureStore

    SiteStore = StructureStore | FeatureStore | PredictionStore
    from xanes_hpc.experiment.energy import EnergyOptions
    from xanes_hpc.experiment.normalised import NormaliseOptions
    from xanes_hpc.formats.read_options import ReadOptions

F = TypeVar("F", bound=Callable[..., Any])
WIDTHS = ("core_hole", "gamma_max", "centre", "width", "seah", "e_cut", "gaussian")
PATH = click.Path(path_type=Path, readable=False)


def _check_json_target(context: click.Context, parameter: click.Parameter, target: str | None) -> str | None:
    """Check, before any work is done, that the file can be written and is meant for JSON."""
    if target is None or target == "-":
        return target
    if not target.endswith(".json"):
        raise not_json(target, context)
    if Path(target).is_dir():
        raise click.UsageError(f"--json: {target}: is a folder", context)
    if not Path(target).parent.is_dir():
        raise click.UsageError(f"--json: {Path(target).parent}: no such folder for {Path(target).name}", context)
    return target


json_option = click.option(
    "--json",
    JSON_TARGET,
    is_flag=False,
    flag_value="-",
    metavar="[FILE.json]",
    callback=_check_json_target,
    help="Write the results as JSON, to a file or to standard output",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing output")
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", show_default="all cores", help="Number of threads"
)
draws_option = click.option(
    "--draws", type=click.IntRange(min=2), metavar="N", default=30, show_default=True, help="Monte Carlo draws per site"
)
sites_option = click.option(
    "--sites",
    type=PATH,
    metavar="FILE.csv",
    help="Take only the sites in this table: a column site, or columns structure and atom (from 0)",
)
model_option = click.option("--model", "model", type=PATH, required=True, metavar="MODEL", help="Use this model folder")


def listed_rows(store: "SiteStore", table: Path | None) -> "npt.NDArray[np.int64] | None":
    """Return the rows of the sites in the table of ``--sites``, in the store's order; None without a table."""
    from xanes_hpc.formats.site_lists import SiteList

    return None if table is None else store.sites.rows_of(SiteList(table), store.path)


@contextmanager
def open_predictions(path: Path, table: Path | None) -> "Iterator[PredictionStore]":
    """Open a prediction store, or only its sites in the table of ``--sites``."""
    from xanes_hpc.stores.chosen_predictions import ChosenPredictions
    from xanes_hpc.stores.predictions import PredictionStore

    with PredictionStore(path) as store:
        rows = listed_rows(store, table)
        yield store if rows is None else ChosenPredictions(store, rows)


def parse_window(name: str, text: str, context: click.Context) -> tuple[float, float]:
    """Return the two energies, in eV, of an option's value ``START:STOP``."""
    try:
        start, stop = map(float, text.split(":"))
    except ValueError:
        raise click.UsageError(
            f"{name}: expected START:STOP in eV, such as -15:-8, received {text!r}", context
        ) from None
    if not start < stop:
        raise click.UsageError(f"{name}: expected START below STOP, received {text!r}", context)
    return start, stop


def windows_of(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[float, float], ...]:
    """Parse the values of a repeatable option for windows."""
    return tuple(parse_window(parameter.opts[0], text, context) for text in texts)


def window_option(name: str, what: str) -> Callable[[F], F]:
    """Return an option for a window ``START:STOP`` in eV."""

    def energies(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, float] | None:
        return None if text is None else parse_window(name, text, context)

    return click.option(name, metavar="START:STOP", callback=energies, help=what)


def several(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Combine options into one decorator, in the order in which the help shows them."""

    def decorate(command: F) -> F:
        return reduce(lambda inner, option: option(inner), reversed(options), command)

    return decorate


def gathered(
    name: str, make: Callable[..., Any], *options: Callable[[Any], Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds options to a command, which receives their values as one parameter.

    Parameters
    ----------
    name
        Name of the command's parameter.
    make
        Called with the options' values by name when the command runs; returns the parameter's value.
    options
        Options in the order in which the help shows them.
    """
    names = [str(option.name) for option in click.command(name)(several(*options)(lambda: None)).params]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def collected(*args: Any, **values: Any) -> Any:
            made = make(**{own: values.pop(own) for own in names})
            return command(*args, **{name: made}, **values)

        with_options: Callable[..., Any] = several(*options)(collected)
        return with_options

    return decorate


def width_options(command: F) -> F:
    """Add the parameters of a broadening, the names in ``WIDTHS``."""
    helps = (
        "Set the full width of the core hole in eV  [default: from XrayDB]",
        "Set arctangent's and seah-dench's maximum width in eV  [default: 15]",
        "Set the centre of arctangent's rise in eV  [default: 30]",
        "Set the width of arctangent's rise in eV  [default: 30]",
        "Set seah-dench's dimensionless parameter  [default: 1]",
        "Set the energy, in eV from e0, above which states are empty  [default: as recorded with the spectrum]",
        "Set the full width of the instrument's resolution in eV",
    )
    for name, help_ in zip(reversed(WIDTHS), reversed(helps), strict=True):
        command = click.option(f"--{name.replace('_', '-')}", type=float, help=help_)(command)
    return command


def refuse(names: Iterable[str], why: str) -> None:
    """Refuse parameters that are on the command line although they do not apply."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in names and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} {why}", context)


def output_option(
    what: str, required: bool = False, ending: str | None = None, folder: bool = False
) -> Callable[[F], F]:
    """Return ``-o`` for the output described by ``what``: a file with the required ending, or a folder."""
    return click.option("-o", "--output", type=OutputPath(ending, folder=folder), required=required, help=what)


def figure_option(what: str) -> Callable[[F], F]:
    """Return ``--plot`` for a further output, a figure."""
    return click.option("--plot", type=OutputPath(beside=True), metavar="FILE", help=f"{what}, as PNG, SVG or PDF")


store_options = gathered(
    "of_store",
    dict,
    click.option("--absorber", metavar="SYMBOL", help="Compare only sites of this element"),
    click.option("--edge", type=EDGE, metavar="EDGE", help="Compare only sites of this edge"),
    sites_option,
    click.option(
        "--kind", default="xanes", show_default=True, help="Compare spectra of this kind in a structure store"
    ),
    click.option(
        "--treatment", help="Compare spectra with this treatment in a structure store whose sites have several"
    ),
)
"""Which spectra of a store to compare with measured ones."""


def _read_options(columns: str | None, mu: str | None, d_spacing: float | None) -> "ReadOptions":
    from xanes_hpc.formats.read_options import ReadOptions, parse_columns

    options = ReadOptions(parse_columns(columns), mu, d_spacing)
    options.check()
    return options


reading_options = gathered(
    "reading",
    _read_options,
    click.option(
        "--columns",
        metavar="NAMES",
        help="Read these columns of a spectrum's file, by title or number from 1: the energy, and the spectrum or its "
        "channels, such as energy,i0,itrans  [default: by their titles]",
    ),
    click.option(
        "--mu",
        type=Known("formats.read_options", "MODES"),
        help="Compute the spectrum from channels: transmission, ln(i0/itrans); fluorescence, ifluor/i0; reference, "
        "ln(itrans/irefer)  [default: the file's own spectrum, or the first that its columns allow]",
    ),
    click.option(
        "--d-spacing",
        type=float,
        metavar="Å",
        help="Set the lattice spacing of the monochromator, for files with its angle in place of the energy  "
        "[default: as in the file]",
    ),
)
"""How to read files of spectra, as one parameter ``reading``."""


disorder_option = click.option(
    "--disorder",
    metavar="refuse|majority|sample N",
    help="Resolve partial occupancies and disorder groups: take the most likely atoms (majority), or draw N "
    "configurations by occupancy; write --disorder sample 20, or --disorder 'sample 20'  [default: refuse]",
)


def _normalise_options(normalise: str, edge_at: float | None, **others: Any) -> "NormaliseOptions":
    from xanes_hpc.experiment.normalised import NormaliseOptions

    return NormaliseOptions(normalise, edge_at, **others)


def normalise_options_with(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return options of how to normalise a measured spectrum, as one parameter ``normalisation``."""
    return gathered(
        "normalisation",
        _normalise_options,
        click.option(
            "--normalise",
            type=Known("experiment.normalised", "METHODS"),
            default=default,
            show_default=True,
            help="Normalise the measured spectrum: subtract a pre-edge line and divide by the edge step (edge-step), "
            "the same after a fit to tabulated absorption (mback), or not (none)",
        ),
        click.option("--edge-at", type=float, metavar="EV", help="Set its edge energy  [default: its steepest rise]"),
        window_option(
            "--pre", "Set its pre-edge window, in eV from the edge, such as -150:-50  [default: from its range]"
        ),
        window_option("--post", "Set its post-edge window, such as 50:300  [default: from its range]"),
        click.option(
            "--order",
            type=click.IntRange(0, 3),
            metavar="N",
            help="Set the degree of the polynomial through --post  [default: from the window's length]",
        ),
        click.option(
            "--flatten/--no-flatten",
            default=True,
            show_default=True,
            help="Subtract the post-edge shape above the edge",
        ),
    )


normalise_options = normalise_options_with("edge-step")
"""How to normalise a measured spectrum, as one parameter ``normalisation``."""


def _energy_options(**values: Any) -> "EnergyOptions":
    from xanes_hpc.experiment.energy import EnergyOptions

    options = EnergyOptions(**values)
    options.check()
    return options


deglitch_option = click.option(
    "--deglitch/--no-deglitch", default=False, show_default=True, help="Leave out single points off the curve"
)
foil_option = click.option(
    "--foil",
    metavar="'SYMBOL EDGE'",
    help="Set the element and edge of the reference or foil, such as Fe or 'Au L3'  [default: as in its file, or the "
    "sample's]",
)
energy_options = gathered(
    "energy",
    _energy_options,
    click.option(
        "--calibrate",
        metavar="reference|FILE|none",
        default="none",
        show_default=True,
        help="Shift the measured energies so that the first inflection of its reference channel (reference), or of a "
        "foil's scan, lies at the tabulated energy",
    ),
    foil_option,
    deglitch_option,
)
"""How to correct the energies of a measured spectrum, as one parameter ``energy``."""


def site_options(command: F) -> F:
    """Add ``--absorber`` and ``--edge``: which atoms of a structure are sites, and their edge."""
    from xanes_hpc.structures.absorbers import RULES

    absorber = click.option(
        "--absorber",
        metavar="RULE",
        help=f"Choose the absorbers: {RULES}  [default: the structure's only transition metal]",
    )
    edge = click.option(
        "--edge", type=EDGE, metavar="EDGE", help="Choose the absorption edge: K, L1, L2, L3, …  [default: K]"
    )
    return absorber(edge(command))
