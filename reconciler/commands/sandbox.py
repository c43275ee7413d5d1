"""`reconciler sandbox`: the embedded PostHog-compatible server."""

import gc
from pathlib import Path

import click

from reconciler.cli.throwaway_sandbox import sandbox_errors
from reconciler.sandbox import server
from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.seed import load
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.generation import DEFAULT

PROFILES = ["g3", "g2", "g1", "docs"]


def _check_option(_ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Refuse what the server would refuse, as a bad value (64), before it is started."""
    if value is None:
        return None
    try:
        clock.parse_time(value) if option.name == "now" else load.parse_rate_limit(value)
    except (SandboxError, ValueError) as error:
        raise click.BadParameter(str(error)) from error
    return value


@click.command(
    "sandbox", epilog="Example: reconciler sandbox --port 0 --seed examples/acme/seed.yaml"
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback, unless --public.")
@click.option("--public", is_flag=True, help="Allow another address than loopback.")
@click.option("--seed", metavar="FILE", help="The world to start from, YAML or JSON.")
@click.option("--data", metavar="FILE", help="Keep the data in this SQLite file.")
@click.option("--reset", is_flag=True, help="With --data and --seed: replace what the file holds.")
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    show_default=DEFAULT.name,
    help="The generation of PostHog's API.",
)
@click.option(
    "--latency",
    type=click.IntRange(0),
    default=0,
    metavar="MS",
    help="Answer after this time at the earliest.",
)
@click.option(
    "--rate-limit",
    metavar="PER_MINUTE[/PER_HOUR]",
    callback=_check_option,
    help="Throttle each key.",
)
@click.option("--faults", metavar="FILE|SPEC", help="A reproducible schedule of faults.")
@click.option("--now", metavar="ISO8601", callback=_check_option, help="Freeze the clock here.")
@click.option("--cloud", is_flag=True, help="Paid features answer 402 when missing.")
@click.option(
    "--withhold-payloads", is_flag=True, help="Requests show encrypted payloads redacted."
)
@click.option("--rng-seed", type=int, metavar="N", help="Reproducible ids.")
def command(
    port: int,
    host: str,
    public: bool,
    seed: str | None,
    data: str | None,
    reset: bool,
    profile: str | None,
    latency: int,
    rate_limit: str | None,
    faults: str | None,
    now: str | None,
    cloud: bool,
    withhold_payloads: bool,
    rng_seed: int | None,
) -> int:
    """Run the embedded server, until SIGTERM or Ctrl-C."""
    with sandbox_errors():
        gc.set_threshold(50_000, 20, 20)  # it lives long: the cycles of its HTTP server must go
        server.run(
            host=host,
            port=port,
            seed=Path(seed) if seed else None,
            data=Path(data) if data else None,
            reset=reset,
            profile=profile,
            latency_ms=latency,
            rate_limit=rate_limit,
            faults=faults,
            now=now,
            cloud=cloud,
            withhold_payloads=withhold_payloads,
            public=public,
            rng_seed=rng_seed,
        )
    return 0
