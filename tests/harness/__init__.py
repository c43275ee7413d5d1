"""The fault harness: the program against a server that is cut off, lied to and killed.

One seed makes a world, files and a schedule of faults, and replays any failure:
`python -m tests.harness SEED`. What is believed is the server's own ledger, never our report.
"""
