"""Where the process begins: the console script, and `python -m reconciler`."""

import os
import signal


def main() -> None:
    """Run one command. Ctrl-C while it is still being imported ends it without a word, with 130."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else: a caller's choice
    if ours:
        signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    from reconciler.cli.main import main as command  # noqa: PLC0415  Ctrl-C is met first

    command(meets_interrupts=ours)


if __name__ == "__main__":
    main()
