"""``xanes-hpc serve``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, draws_option, threads_option

if TYPE_CHECKING:
    from fastapi import FastAPI

BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables with the number of threads of linear algebra, read when NumPy is imported.

The matrices of a request are small: on a busy machine, threads that wait for one another made it ten times slower.
"""
LOCAL = ("127.0.0.1", "localhost", "::1")


@click.command("serve", cls=Command)
@click.argument("model", type=PATH, required=False, metavar="[MODEL]")
@click.option("--model", "model_named", type=PATH, metavar="MODEL", help="Same as the argument MODEL")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Listen at this address")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=8050,
    show_default=True,
    help="Listen at this port; 0 picks a free one",
)
@click.option(
    "--name", "names", multiple=True, metavar="HOST", help="Also accept requests to this host name (repeatable)"
)
@draws_option
@click.option(
    "--max-atoms",
    type=click.IntRange(min=1),
    metavar="N",
    default=5000,
    show_default=True,
    help="Refuse structures of more than N atoms",
)
@click.option(
    "--max-mib",
    type=click.IntRange(min=1),
    metavar="N",
    default=10,
    show_default=True,
    help="Refuse files of more than N MiB",
)
@click.option(
    "--library",
    type=PATH,
    metavar="STORE",
    help="Match measured spectra with this prediction store, or structure store with spectra",
)
@click.option(
    "--example", type=PATH, metavar="FILE", help="Open the page with this structure  [default: an idealised complex]"
)
@threads_option
def command(
    model: Path | None,
    model_named: Path | None,
    host: str,
    port: int,
    names: tuple[str, ...],
    draws: int,
    max_atoms: int,
    max_mib: int,
    library: Path | None,
    example: Path | None,
    threads: int | None,
) -> None:
    """Open a web page that predicts spectra of structures.

    The page reads structures (XYZ, CIF, POSCAR) and measured spectra, which it compares with the open structures and
    with --library. It stores nothing and loads nothing from other
    servers. Only this machine can reach it, unless --host says otherwise; there is no password. Programs can use the
    same service at /api; /openapi.json describes it. Press Ctrl-C to stop.
    """
    import os
    import socket

    given = [path for path in (model, model_named) if path is not None]
    if len(given) != 1:
        raise click.UsageError(f"expected one model, received {len(given)}", click.get_current_context())

    for variable in BLAS:
        os.environ.setdefault(variable, "1")

    from xanes_hpc.models.model import Model
    from xanes_hpc.pages.opening import opened
    from xanes_hpc.pages.server import application, warm_up
    from xanes_hpc.pages.uploads import Limits
    from xanes_hpc.prediction.predictor import SitePredictor
    from xanes_hpc.runtime import threads as kernel_threads
    from xanes_hpc.runtime.arenas import share_arenas

    share_arenas()
    kernel_threads.use(threads)
    predictor = SitePredictor(Model.open(given[0]), draws)
    warm_up(predictor)
    hosts = [*dict.fromkeys([*LOCAL, host, *names])] if host not in ("0.0.0.0", "::") else [*LOCAL, *names]
    if host not in LOCAL:
        console.err.print("Note: anyone who can reach this machine can use the page; there is no password")
        hosts += [socket.gethostname()]
    limits = Limits(bytes=max_mib << 20, atoms=max_atoms)
    with opened(predictor, limits, example, library) as served:
        _listen(application(served, hosts), host, port)


def _listen(app: "FastAPI", host: str, port: int) -> None:
    """Serve an application until the user interrupts it."""
    import socket

    import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(128)  # requests from now on wait for an answer
        except OSError as error:
            raise click.UsageError(f"--host {host} --port {port}: cannot listen there: {error.strerror}") from None
        shown = f"[{host}]" if ":" in host else host
        console.out.print(f"http://{shown}:{listening.getsockname()[1]}  (Ctrl-C to stop)")
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listening])
