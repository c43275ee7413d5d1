"""What the options of a fleet mean for each of its targets."""

from reconciler.cli import main
from reconciler.cli.fleet import subcommands
from reconciler.model import FleetMode


def test_the_time_that_an_apply_waits_for_approvals_is_not_taken_from_its_limit():
    """Otherwise each target that waits longer than --target-timeout would fail."""
    given = []

    def keep(_session, options):
        given.append(options)
        return 0

    command = subcommands.make_command(FleetMode.APPLY, main.load_command("apply"), keep)
    command.main(["--target-timeout", "10m", "--wait", "20m"], standalone_mode=False)

    assert [30 * 60] == [options.timeout_s for options in given]
