"""``xanes-hpc serve``."""

from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, threads_option

LOCAL = ("127.0.0.1", "localhost", "::1")


@click.command("serve", cls=Command)
@click.argument("model", type=PATH, required=False, metavar="[MODEL]")
@click.option("--model", "model_named", type=PATH, help="Model folder, as train made it.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8050, show_default=True, help="Port; 0 for a free one.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="A further name under which it may be asked for.")
@click.option("--draws", type=click.IntRange(min=2), default=100, show_default=True, help="Of each prediction.")
@click.option("--max-atoms", type=click.IntRange(min=1), default=5000, show_default=True, help="Of a structure.")
@click.option("--max-mib", type=click.IntRange(min=1), default=10, show_default=True, help="Of a file.")
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
    threads: int | None,
) -> None:
    """Open a page in which structures become spectra, for people without a terminal.

    The page is served on this machine alone, unless --host says otherwise; nobody is asked for a password. It takes
    structures (XYZ, CIF, POSCAR) and measured spectra, keeps nothing, and fetches nothing from elsewhere. Programs may
    ask the same at /api, which /openapi.json describes. Ctrl-C ends it.
    """
    import socket

    given = [path for path in (model, model_named) if path is not None]
    if len(given) != 1:
        raise click.UsageError(f"expected one model, received {len(given)}", click.get_current_context())

    import uvicorn

    from xanes_hpc.models.model import Model
    from xanes_hpc.pages.server import application, warm_up
    from xanes_hpc.pages.uploads import Limits
    from xanes_hpc.prediction.predictor import SitePredictor
    from xanes_hpc.runtime import threads as kernel_threads

    kernel_threads.use(threads)
    predictor = SitePredictor(Model.open(given[0]), draws)
    warm_up(predictor)
    hosts = [*dict.fromkeys([*LOCAL, host, *names])] if host not in ("0.0.0.0", "::") else [*LOCAL, *names]
    if host not in LOCAL:
        console.err.print(f"note: who reaches {host} can use the page; there is no password")
        hosts += [socket.gethostname()]
    app = application(predictor, hosts, Limits(bytes=max_mib << 20, atoms=max_atoms))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(128)  # who asks from now on is answered
        except OSError as error:
            raise click.UsageError(f"--host {host} --port {port}: cannot listen there: {error.strerror}") from None
        shown = f"[{host}]" if ":" in host else host
        console.out.print(f"http://{shown}:{listening.getsockname()[1]}  (Ctrl-C ends it)")
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listening])
