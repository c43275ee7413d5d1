"""Annotations of GitHub Actions: exact escaping, the worst first, nothing dropped unseen."""

from reconciler.model import Address, Finding, Severity, Source
from reconciler.render import github


def finding(code="R004", severity=Severity.ERROR, message="wrong", **more):
    """A finding at a place."""
    place = more.pop("source", Source("config/a.yaml", 3, 8))
    return Finding(code, severity, message, source=place, **more)


def test_an_annotation_is_one_workflow_command():
    """Place, title, and everything there is to say."""
    one = finding(why="because", fix="mend it", address=Address("Role", ("acme", "A")))

    assert github.findings([one]) == (
        "::error file=config/a.yaml,line=3,col=8,title=R004 Role/acme/A::"
        "wrong%0Awhy: because%0Afix: mend it"
    )


def test_what_could_end_a_command_is_escaped():
    """`%` first; `:` and `,` in properties alone."""
    one = finding(message="50% a:b,c", source=Source("a,b:c%.yaml", 1, 1))

    assert github.findings([one]) == (
        "::error file=a%2Cb%3Ac%25.yaml,line=1,col=1,title=R004::50%25 a:b,c"
    )


def test_a_name_cannot_start_a_command_of_its_own():
    """No line break of a foreign text ends the line."""
    one = finding(
        message="a\n::set-output name=x::y\r\n::add-mask::z", fix="\u2028::error::b\x1b[0m"
    )

    assert len(github.findings([one]).splitlines()) == 1
    assert "\x1b" not in github.findings([one])


def test_a_finding_without_a_place_has_none():
    """A whole run may be wrong."""
    assert github.findings([finding(source=None)]) == "::error title=R004::wrong"


def test_the_worst_come_first_and_ten_of_a_kind_are_shown():
    """The rest is counted in one notice, which itself has room."""
    every = [finding("R020", Severity.WARNING, f"odd {number:02}") for number in range(15)] + [
        finding(message=f"wrong {number:02}") for number in range(13)
    ]
    lines = github.findings(every).splitlines()

    assert [line.split(" ")[0] for line in lines] == ["::error"] * 10 + ["::warning"] * 10 + [
        "::notice"
    ]
    assert lines[0].endswith("wrong 00")
    assert lines[-1] == "::notice title=reconciler::and 3 errors, 5 warnings more: see the log"


def test_the_count_is_one_of_the_ten_notices():
    """GitHub would drop an eleventh."""
    lines = github.findings(
        [finding("x", Severity.NOTICE, f"n {number:02}") for number in range(12)]
    ).splitlines()

    assert len(lines) == 10
    assert lines[-1] == "::notice title=reconciler::and 3 notices more: see the log"


def test_nothing_is_nothing():
    """No line at all."""
    assert github.findings([]) == ""
