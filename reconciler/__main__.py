"""Where the process begins: the console script, and `python -m reconciler`."""

import os
import signal
import sys


def main() -> None:
    """Run one command. Ctrl-C while it is still being imported ends it without a word, with 130."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else: a caller's choice
    if ours:
        signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    from reconciler.cli.parsing import lazy_imports  # noqa: PLC0415  Ctrl-C is met first

    is_help = not {"-h", "--help"}.isdisjoint(sys.argv) or sys.argv[1:2] == ["help"]
    if is_help or "_RECONCILER_COMPLETE" in os.environ:  # noqa: TID251  there is no session
        lazy_imports.begin()
    else:
        lazy_imports.defer()
    from reconciler.cli.main import main as command  # noqa: PLC0415  Ctrl-C is met first

    command(meets_interrupts=ours)


if __name__ == "__main__":
    main()
