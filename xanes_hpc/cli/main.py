"""``xanes-hpc``: finds the command, and turns errors into one line and an exit code."""

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
    "import": "Read structures, and spectra by name, into a structure store.",
    "featurise": "Describe the surroundings of every absorption site.",
    "train": "Train a network from features to spectra.",
    "tune": "Search for the recipe that trains best.",
    "predict": "Predict spectra with their uncertainty.",
    "evaluate": "Measure predictions against their references.",
    "plot": "Draw figures of predictions and of training.",
    "explain": "Tell which features, shells and atoms predictions rest on.",
    "report": "Tell of a model in one HTML page.",
    "serve": "Open a page in which structures become spectra.",
    "info": "Say what a store or model is.",
    "broaden": "Broaden and normalise the spectra of a store.",
    "average": "Average predicted spectra over sites or frames.",
    "fit-broadening": "Fit the broadening, shift and scale of a spectrum to a measured one.",
    "match": "Find the sites whose spectra are like a measured one.",
    "export": "Write predictions as XDI, NeXus, Athena's columns or CSV.",
    "select": "Choose the sites that are most worth calculating next.",
    "relax": "Relax structures by GFN2-xTB.",
    "fdmnes": "Write FDMNES calculations of a store's sites, and read them in.",
    "model": "Pack a model into one file to send, and unpack it.",
    "demo": "Run the whole way on generated data.",
}
"""Every command and its line in the help; its module in ``cli.commands`` is imported only when it runs."""
ALIASES = {"featurize": "featurise"}


@click.group(
    cls=LazyGroup,
    lines=COMMANDS,
    aliases=ALIASES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="xanes-hpc %(version)s")
def cli() -> None:
    """X-ray absorption spectra from structures, with neural networks.

    The usual way: import, featurise, train, predict, evaluate. Each command ends by printing the next. "demo"
    shows it all without data.
    """


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 well, 2 bad input, 130 interrupted."""
    atexit.register(gc.freeze)  # at its end a process need not be searched for cycles: all of it goes
    signal.signal(signal.SIGTERM, _interrupt)
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_note_lost, hook)
    try:
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
        click.echo("xanes-hpc: interrupted; what was half-written is removed, finished outputs are untouched", err=True)
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
    """An interruption that falls into a C library's callback (LLVM's, say) is lost there: it comes again, later."""
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
