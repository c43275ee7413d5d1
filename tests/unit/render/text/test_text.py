"""What the terminal says: sentences, carets, counts, and what to do next."""

import re

import pytest

from reconciler import errors, render
from reconciler.model import (
    Action,
    Address,
    Change,
    Confidence,
    FieldChange,
    Finding,
    Gate,
    Outcome,
    Plan,
    Problem,
    Result,
    Severity,
    Source,
    Verdict,
)
from reconciler.render import text
from reconciler.render.shared import phrases
from reconciler.render.shared.sanitize import count_columns
from tests.unit.render import samples


def family(cls):
    return [cls, *(one for child in cls.__subclasses__() for one in family(child))]


@pytest.mark.parametrize("cls", family(errors.ReconcilerError), ids=lambda cls: cls.__name__)
def test_every_error_says_what_state_and_fix(cls):
    """The four sentences; why where it is known."""
    shown = text.error(cls("it did not work", why="a reason"), color=False).split("\n")

    if cls is errors.DeclinedError:  # not an error to the person who answered no
        assert shown == ["it did not work"]
        return
    assert shown[0] == "error: it did not work"
    assert shown[1] == "  why:   a reason"
    assert shown[2].startswith("  state: ")
    assert shown[3].startswith("  fix:   ")


def test_an_api_error_without_a_reason_tells_the_answer():
    denied = errors.ApiError("GET /x", status=403, code="permission_denied", detail="no\nscope")

    assert "\n  why:   HTTP 403 permission_denied no\\nscope\n" in text.error(denied, color=False)


def test_a_page_long_cause_is_cut():
    shown = text.error(errors.ServerError("x", why="<html>" * 1000), color=False)

    assert max(map(len, shown.split("\n"))) < 520


def test_a_config_error_tells_every_finding_by_place_and_counts_them():
    found = [
        Finding("c", Severity.ERROR, f"m{line}", source=Source("a.yaml", line))
        for line in (30, 4, 20)
    ]
    shown = text.error(errors.ConfigError("x", findings=found), color=False)

    assert re.findall(r"a\.yaml:(\d+)", shown) == ["4", "20", "30"]
    assert "\n3 errors in 1 file\n" in shown
    assert 1 == shown.count("state:")


def test_a_config_error_without_findings_is_an_error_like_others():
    assert text.error(errors.ConfigError("x"), color=False).startswith("error: x\n")


@pytest.mark.parametrize(
    ("line", "column", "width", "under"),
    [
        ("      roles: [Release manager]", 15, 15, "Release manager"),
        ("キー: 値", 5, 1, "値"),
        ("a: \x1bb", 5, 1, "b"),
        ("\tkey: x", 2, 3, "key"),
        ("x" * 300 + " here " + "y" * 300, 302, 4, "here"),
        ("key", 4, 1, ""),
        ("key", 999, 9, ""),
        ("phx_" + "a" * 30 + ": here", 37, 4, "here"),
    ],
)
def test_the_caret_stands_below_what_is_meant(line, column, width, under):
    """Counted in columns of the screen, whatever is wide, escaped, masked or cut."""
    place = Source("a.yaml", 7, column)
    finding = Finding("c", Severity.ERROR, "m", source=place, excerpt=line, width=width)

    _, code, caret, *_ = text.findings([finding], color=False).split("\n")
    start, end = caret.index("^"), caret.rindex("^") + 1
    on_screen = "".join(one + "\0" * (count_columns(one) - 1) for one in code)

    assert len(code) < 200
    assert on_screen[start:end].replace("\0", "") == under


def test_notices_and_warnings_have_no_state():
    warning = Finding("c", Severity.WARNING, "m", "because", "do")

    assert text.findings([warning], color=False) == "warning: m\n  why:   because\n  fix:   do"


def test_a_plan_without_a_base_says_so_once():
    change = samples.update("a", FieldChange("active", live=False, desired=True))
    shown = render.plan(Plan((change, samples.PENDING)), format="text")

    assert shown.count("No base yet") == 1
    assert "[" not in shown.split("active")[1].split("\n")[0]


def test_only_creations_need_no_base():
    assert "No base yet" not in render.plan(Plan((samples.CREATED_ROLE,)), format="text")


def test_the_last_line_counts_what_apply_would_do():
    shown = render.plan(samples.SMALL, format="text", width=200).split("\n")[-1]

    assert shown.startswith(
        "Plan: 0 to create, 1 to update, 0 to delete, 2 unchanged. 1 will wait for approval."
    )


def test_nothing_to_do():
    one = Plan((Change(samples.flag("a"), Action.NONE),))

    assert render.plan(one, format="text").endswith("No changes. 1 resource matches.")
    assert render.plan(samples.NOTHING, format="text").endswith("No changes. 47 resources match.")
    assert render.drift(samples.NOTHING, format="text").endswith("No drift. 47 resources match.")


def test_an_error_of_the_plan_is_in_its_last_line_too():
    shown = render.plan(Plan((), findings=(samples.MISSING,)), format="text")

    assert shown.endswith("1 error; the affected resource is not applied.")


@pytest.mark.parametrize("verdict", [one for one in Verdict if one is not Verdict.NONE])
def test_every_verdict_is_said(verdict):
    """In text, Markdown and HTML, with the policy; a bypass in capitals."""
    plan = Plan((samples.update("a", gate=samples.gate(verdict, note="a note")),))

    for format_ in ("text", "markdown", "html"):
        shown = render.plan(plan, format=format_).replace("\\", "")
        assert "feature_flag.update" in shown
        assert "a note" in shown
        assert verdict is not Verdict.BYPASS or "BYPASS" in shown


@pytest.mark.parametrize(
    ("confidence", "said"),
    [
        (Confidence.CERTAIN, "update: needs 2 approvals from"),
        (Confidence.LIKELY, "update: probably needs 2 approvals from"),
        (Confidence.UNKNOWN, "update: may need 2 approvals from"),
    ],
)
def test_how_sure_a_forecast_is(confidence, said):
    gate = samples.gate(Verdict.APPROVAL, confidence=confidence)

    assert said in render.plan(Plan((samples.update("a", gate=gate),)), format="text")


def test_the_same_doubt_is_told_once():
    gate = Gate(confidence=Confidence.LIKELY, note="an organization-wide policy may gate")
    changes = tuple(samples.update(f"f{n}", gate=gate) for n in range(5))
    shown = render.plan(Plan(changes), format="text", width=200)

    assert shown.count("an organization-wide policy may gate") == 1
    assert "5 changes are expected to pass without approval, but an org" in shown


def test_a_policy_of_elsewhere_is_named_in_full():
    gate = samples.gate(Verdict.APPROVAL, policy="ApprovalPolicy/acme/Mobile/feature_flag.update")

    said = phrases.describe_gate(samples.update("a", gate=gate))

    assert "ApprovalPolicy/acme/Mobile/feature_flag.update" in said.text


def test_a_large_role_is_not_named_in_full():
    role = {"Everybody": tuple(f"p{n}@acme.test" for n in range(50))}

    assert phrases.describe_approvers(samples.APPROVERS.__class__((), role)).endswith(
        "and 44 more)"
    )
    assert phrases.describe_approvers(samples.APPROVERS.__class__()) == "nobody"


def test_verbose_lists_what_else_is_only_counted():
    shown = render.plan(samples.EVERYTHING, format="text", verbose=1)

    assert "legacy-12" in shown
    assert "ensure_experience_continuity" in shown
    assert "id: 42" in shown
    assert "after: Role/acme/Release managers" in shown
    assert "shortened" not in shown


def test_a_drift_report_shows_the_files_on_the_left():
    shown = render.drift(samples.DRIFTED, format="text")

    assert "50 → 77" in shown
    assert "- Role/acme/Release managers  missing" in shown
    assert "approval" not in shown


@pytest.mark.parametrize("result", Result)
def test_every_outcome_has_a_line(result):
    outcome = Outcome(samples.MANAGERS, Action.UPDATE, result)
    shown = text.format_outcome_line(outcome, color=False)

    assert shown.startswith("  ")
    assert "Role/acme/Release managers" in shown


def test_what_ended_alike_is_explained_once():
    problem = Problem("not started", "interrupted", "not sent", "run apply again")
    plan = Plan(tuple(samples.update(f"f{n}") for n in range(9)))
    ended = [
        Outcome(one.address, one.action, Result.SKIPPED, problem=problem) for one in plan.changes
    ]

    shown = render.outcomes(ended, plan, format="text", color=False)

    assert shown.count("not started") == 1
    assert "9 skipped" in shown
    assert "(9 in all)" in shown


def test_what_waits_is_told_with_its_page_and_its_people():
    shown = render.outcomes(samples.OUTCOMES, samples.EVERYTHING, format="text", color=False)

    assert f"http://127.0.0.1:8000/project/1/approvals/{samples.REQUEST}" in shown
    assert "feature_flag.update: 2 approvals from alice@acme.test or Release managers" in shown
    assert "Next: ask the approvers (reconciler status lists them), then run apply again." in shown


def test_what_is_in_the_way_is_nothing_to_be_approved():
    """Another person's request would be live with what no file says."""
    plan = Plan((samples.update("f"),))
    address, action = plan.changes[0].address, plan.changes[0].action
    held = Problem("f is held by an open change request", "it proposes something else", "not sent")
    row = Outcome(address, action, Result.WAITING, problem=held, change_request=samples.REQUEST)

    shown = render.outcomes([row], plan, format="text", color=False)

    assert "Next: ask for a decision on the open requests, then run apply again." in shown
    assert "ask for approval" not in shown
    assert text.format_outcome_line(row, color=False).endswith(
        "  waits: f is held by an open change request"
    )


def test_a_clean_apply_has_nothing_left_to_say():
    plan = Plan((samples.CREATED_ROLE,))
    done = Outcome(samples.MANAGERS, Action.CREATE, Result.DONE)

    assert (
        render.outcomes([done], plan, format="text", color=False)
        == "Apply: 1 done, 0 unchanged (1 in all)."
    )


def test_an_address_with_a_slash_stays_one_address():
    plan = Plan((Change(Address("Role", ("acme", "a/b")), Action.DELETE),))

    assert "Role/acme/a%2Fb" in render.plan(plan, format="text")
