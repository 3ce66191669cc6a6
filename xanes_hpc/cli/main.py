"""Run ``xanes-hpc``: find the command, and turn errors into one line and an exit code."""

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import click

from xanes_hpc import __version__
from xanes_hpc.cli import surroundings
from xanes_hpc.cli.lazy_group import LazyGroup
from xanes_hpc.errors import XanesHpcError

COMMANDS = {
    "import": "Read structures, and spectra matched by name, into a structure store",
    "featurise": "Compute the features of every site",
    "split": "Divide sites into training, validation, calibration and test sets",
    "train": "Train a model to predict spectra from features",
    "tune": "Search for better hyperparameters",
    "predict": "Predict spectra with their uncertainty",
    "evaluate": "Measure predictions against references",
    "plot": "Draw figures of predictions and of training",
    "explain": "Show which distances, shells and atoms predictions depend on",
    "report": "Summarise a model in one shareable HTML page",
    "serve": "Open a web page that predicts spectra of structures",
    "info": "Describe a store or model; verify every checksum",
    "broaden": "Broaden and normalise the spectra of a store",
    "average": "Average predictions over sites or frames",
    "merge": "Merge scans of one sample, with their scatter as sigma",
    "fit-broadening": "Fit shift, scale and widths to a measured spectrum",
    "match": "Find the sites whose spectra resemble a measured one, and mixtures",
    "series": "Find the components of a measured series, and their fractions",
    "export": "Write predictions as XDI, NeXus, Athena columns or CSV",
    "select": "Choose the sites most worth calculating next",
    "grow": "Select, calculate and train in rounds, until a model is good enough",
    "structures": "Build complexes, exchange elements, and sample thermal motion",
    "relax": "Relax structures with GFN2-xTB",
    "calculate": "Calculate spectra with FEFF or FDMNES, and add them to the store",
    "feff": "Write FEFF calculations, and read their spectra back",
    "fdmnes": "Write FDMNES calculations, and read their spectra back",
    "model": "Pack a model into one file to send, and unpack it",
    "demo": "Run the whole way on generated data",
}
"""Every command with its line in the help; its module in ``cli.commands`` is imported only when it runs."""
ALIASES = {"featurize": "featurise"}


@click.group(
    cls=LazyGroup,
    lines=COMMANDS,
    aliases=ALIASES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="xanes-hpc %(version)s", help="Show the version and exit")
def cli() -> None:
    """Predict X-ray absorption spectra from structures with neural networks.

    The usual order is import, featurise, train, predict, evaluate; each command ends by suggesting the next. To see
    all of them at work on generated data, run "xanes-hpc demo".
    """


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with 0 on success, 2 on bad input, 130 on interruption."""
    atexit.register(gc.freeze)  # saves the garbage collection at exit
    signal.signal(signal.SIGTERM, _interrupt)
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_note_lost, hook)
    try:
        if arguments is None:
            surroundings.start_anew_if_needed()
        surroundings.keep_out()
        code = cli.main(args=arguments, prog_name="xanes-hpc", standalone_mode=False)
        sys.stdout.flush()
        _exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "xanes-hpc"
        _fail(f"{error.format_message().rstrip('.')} (see {where} --help)")
    except XanesHpcError as error:
        _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        click.echo("xanes-hpc: interrupted; unfinished outputs were removed, finished ones are untouched", err=True)
        _exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(141)
    except MemoryError:
        _fail("out of memory")
    except ImportError as error:
        if "failed to map segment" not in str(error) and "annot allocate memory" not in str(error):
            raise
        _fail(f"out of memory: {error}")
    except OSError as error:
        from xanes_hpc.runtime.outputs import explain

        _fail(f"{error.filename or 'system'}: {explain(error)}")
    finally:
        sys.unraisablehook = hook


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _note_lost(hook: Callable[[Any], object], lost: Any) -> None:
    """Raise an interruption again, a little later, that was lost in a callback of a C library such as LLVM."""
    if lost.exc_type is KeyboardInterrupt:
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    else:
        hook(lost)


def _fail(message: Any) -> NoReturn:
    click.echo("xanes-hpc: error: " + " ".join(str(message).split()), err=True)
    _exit(2)


def _exit(code: int) -> NoReturn:
    raise SystemExit(code)
