"""``finsa serve``: the mixture behind HTTP, with a page for people.

Only options in; the service room does the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from finsa_moe.cli.options import AbstainBelow, Engine, Model, Threads


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("serve")(serve)


def serve(
    model: Model = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own (loopback) needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes; the cores are shared among them.")] = 1,
    token_file: Annotated[
        Path | None, typer.Option(metavar="F", help="File with the token that clients must send; or set FINSA_TOKEN.")
    ] = None,
    deadline: Annotated[
        float, typer.Option(metavar="S", help="Seconds within which a request is answered, or refused.")
    ] = 5.0,
    abstain_below: AbstainBelow = 0.0,
    max_texts: Annotated[int, typer.Option(min=1, help="Most texts in a request.")] = 1024,
    max_chars: Annotated[int, typer.Option(min=1, help="Most characters in a text.")] = 10_000,
    max_file: Annotated[int, typer.Option(metavar="MB", min=1, help="Largest file taken, in megabytes.")] = 64,
    max_rows: Annotated[int, typer.Option(min=1, help="Most rows in a file.")] = 200_000,
    max_columns: Annotated[int, typer.Option(min=1, help="Most columns in a file.")] = 1_000,
    per_client: Annotated[
        int, typer.Option(min=1, help="Most requests of one address under way at the same time.")
    ] = 64,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Trust X-Forwarded-For from a proxy on this machine.")
    ] = False,
    proxies: Annotated[
        str | None, typer.Option(metavar="A,B", help="Trust it from proxies of these addresses or networks instead.")
    ] = None,
    log_texts: Annotated[bool, typer.Option("--log-texts", help="Allow texts to be written to the error log.")] = False,
    engine: Engine = None,
    threads: Threads = None,
) -> None:
    """Answer over HTTP, and on a page for people, until Ctrl-C.

    SIGHUP opens the model folder anew without dropping a request; a folder that does not open is refused.
    """
    from finsa_moe.errors import require

    for module in ("fastapi", "uvicorn", "prometheus_client", "httptools"):
        require(module, "serve", "finsa serve")
    from finsa_moe.service.run import serve as run
    from finsa_moe.service.settings import Settings

    settings = Settings(
        model=str(model) if model else None, engine=engine, threads=threads, workers=workers,
        abstain_below=abstain_below, deadline=deadline, max_texts=max_texts, max_chars=max_chars,
        max_file=max_file << 20, max_rows=max_rows, max_columns=max_columns, per_client=per_client,
        log_texts=log_texts, behind_proxy=behind_proxy, proxies=proxies,
        token_file=str(token_file) if token_file else None,
    )  # fmt: skip
    run(settings, host, port, lambda address: typer.echo(f"{address}  (Ctrl-C ends it)", err=True))
