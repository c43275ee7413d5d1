"""Plans to draw: one with everything in it, one that says one string everywhere."""

from dataclasses import replace
from datetime import UTC, datetime

from reconciler.model import (
    ABSENT,
    Action,
    Address,
    ApprovalClass,
    Approvers,
    Attribution,
    Cause,
    Change,
    ChangeRequest,
    Confidence,
    FieldChange,
    Finding,
    Gate,
    GateStep,
    Hold,
    Ignored,
    LogAction,
    Outcome,
    Plan,
    Problem,
    Released,
    Requests,
    Result,
    Severity,
    Source,
    Verdict,
    Vote,
)

REQUEST = "0c7b1d8e-5f5e-4d0f-8d9e-1b0f6a0c3e21"
UPDATE = "ApprovalPolicy/acme/Web/feature_flag.update"
APPROVERS = Approvers(
    ("alice@acme.test",), {"Release managers": ("alice@acme.test", "bob@acme.test")}
)
MANAGERS = Address("Role", ("acme", "Release managers"))
RULE = {"key": "email", "type": "person", "operator": "icontains", "value": "@acme.test"}


def flag(key):
    return Address("FeatureFlag", ("acme", "Web", key))


def gate(verdict, **more):
    base = {"policy": UPDATE, "quorum": 2, "approvers": APPROVERS, "expires_after": "14d"}
    return Gate(verdict, **{**base, **more})


def rollout(old, new, **more):
    return FieldChange("filters.groups[0].rollout_percentage", old, new, **more)


def active(**more):
    return (FieldChange("active", live=False, desired=True, **more),)


def update(key, *fields, **more):
    return Change(flag(key), Action.UPDATE, fields or active(), live_id="42", **more)


CREATED_ROLE = Change(
    MANAGERS,
    Action.CREATE,
    (FieldChange("members", ABSENT, ["alice@acme.test", "bob@acme.test"]),),
    source=Source("config/roles.yaml", 3),
)
CREATED_FLAG = Change(
    flag("new-search"),
    Action.CREATE,
    (
        FieldChange("name", ABSENT, "New search: faster"),
        FieldChange("active", ABSENT, desired=True),
        FieldChange("tags", ABSENT, ["search", "beta"]),
        FieldChange(
            "filters",
            ABSENT,
            {
                "groups": [
                    {"properties": [], "rollout_percentage": 30},
                    {"properties": [RULE], "rollout_percentage": 100},
                ]
            },
        ),
    ),
    Gate(
        confidence=Confidence.LIKELY,
        note="acme/Web has no enabled policy for feature_flag.enable; one of the whole "
        "organization, which cannot be read, may hold the write back",
    ),
    source=Source("config/flags.yaml", 60),
    depends_on=(MANAGERS,),
)
GATED = update(
    "new-checkout",
    rollout(10, 50, base=10, cause=Cause.INTENT),
    FieldChange("tags", ["legacy", "web"], ["web", "checkout"], ["web"], Cause.CONFLICT),
    FieldChange("name", None, "New checkout", "New checkout", Cause.DRIFT),
    gate=gate(Verdict.APPROVAL, condition="rollout_percentage changes by more than 20 (10 -> 50)"),
    source=Source("config/flags.yaml", 31),
    live_fingerprint="sha256:00",
)
BYPASSED = update(
    "by-an-owner",
    gate=gate(
        Verdict.BYPASS,
        condition="active: false -> true",
        note="BYPASSED: this key's user is an owner of acme; nobody will be asked",
        bypassed_policies=(UPDATE,),
    ),
)
PENDING = update(
    "waits-already",
    gate=gate(
        Verdict.PENDING,
        change_request=REQUEST,
        note=f"change request {REQUEST} of ci@acme.test (feature_flag.update, pending, "
        "expires 2026-01-19T09:00:00Z)",
        cannot_approve={"bob@acme.test": "has approved"},
    ),
    url="http://127.0.0.1:8000/project/1/feature_flags/42",
)
BLOCKED = update(
    "held-by-another",
    FieldChange(
        "filters.groups",
        [{"properties": [], "rollout_percentage": 20, "variant": None}],
        [
            {"properties": [RULE], "rollout_percentage": 20, "variant": None},
            {"properties": [], "rollout_percentage": 5},
        ],
    ),
    gate=gate(
        Verdict.BLOCKED,
        change_request=REQUEST,
        note=f"change request {REQUEST} of carol@acme.test (feature_flag.update, pending); it "
        "proposes something else, and any write would make it unappliable",
    ),
)
REJECTED = update(
    "turned-down",
    FieldChange("name", "A long name " * 12 + "as it was", "A long name " * 12 + "as it should be"),
    gate=gate(Verdict.REJECTED, change_request=REQUEST, note="rejected by bob@acme.test"),
)
SPLIT = update(
    "two-gates",
    gate=gate(
        Verdict.SPLIT,
        steps=(
            GateStep(("name", "tags")),
            GateStep(("filters",), Verdict.APPROVAL, UPDATE, 2, APPROVERS, "14d"),
            GateStep(
                ("active",),
                Verdict.APPROVAL,
                "ApprovalPolicy/acme/Web/feature_flag.enable",
                1,
                Approvers(("carol@acme.test",)),
                "2d",
            ),
        ),
    ),
)
DOUBTED = update(
    "nobody-knows",
    FieldChange("filters.groups[1]", {"rollout_percentage": 5}, ABSENT),
    gate=Gate(confidence=Confidence.UNKNOWN, note="the policies of acme/Web cannot be read: 403"),
    warnings=(
        Finding(
            "gate-off",
            Severity.WARNING,
            "FeatureFlag/acme/Web/nobody-knows is written without approval",
            "acme lacks the feature `approvals`",
            "add the feature to the organization's plan, or remove the policies",
        ),
    ),
)
DELETED = Change(flag("old"), Action.DELETE, live_id="7")
MISSING = Finding(
    "unknown-role",
    Severity.ERROR,
    'no role is called "Release manager"',
    "neither the files nor acme have a role of this name",
    'did you mean "Release managers" (config/roles.yaml:3:1)?',
    Source("config/policies.yaml", 14, 15),
    excerpt="      roles: [Release manager]",
    width=15,
)
WARNED = Finding("odd", Severity.WARNING, "approvers only by role", source=Source("a.yaml", 2))
UNMANAGED_FIELD = Finding(
    "unmanaged-field",
    Severity.NOTICE,
    "FeatureFlag/acme/Web/new-checkout: ensure_experience_continuity is set in PostHog "
    "but not declared",
    address=flag("new-checkout"),
)

ASKED = ChangeRequest(
    REQUEST,
    "feature_flag.update",
    "pending",
    "42",
    "waits-already",
    "acme",
    "Web",
    "ci@acme.test",
    None,
    created_at="2026-01-05T09:00:00Z",
    expires_at="2026-01-19T09:00:00Z",
    votes=(Vote("bob@acme.test", approved=True, at="2026-01-06T10:30:00Z", reason="fine"),),
    url=f"http://127.0.0.1:8000/project/1/approvals/{REQUEST}",
)

EVERYTHING = Plan(
    changes=(
        *(Change(flag(f"same-{n}"), Action.NONE) for n in range(40)),
        CREATED_ROLE,
        GATED,
        BYPASSED,
        PENDING,
        BLOCKED,
        REJECTED,
        SPLIT,
        DOUBTED,
        CREATED_FLAG,
        DELETED,
    ),
    target="production",
    host="http://127.0.0.1:8000",
    created_at="2026-01-01T00:00:00Z",
    base_ref="origin/main",
    base_commit="0123456789abcdef0123456789abcdef01234567",
    desired_digest="sha256:11",
    unmanaged=tuple(flag(f"legacy-{n:02}") for n in range(13)),
    released=(Released(flag("by-an-owner"), "name", "a", "b"),),
    findings=(MISSING, WARNED, UNMANAGED_FIELD),
    requests=Requests(12, 9),
    change_requests=(ASKED,),
)
SMALL = Plan(
    changes=(GATED, *(Change(flag(f"same-{n}"), Action.NONE) for n in range(2))),
    host="http://127.0.0.1:8000",
    created_at="2026-01-01T00:00:00Z",
    desired_digest="sha256:11",
)
NOTHING = Plan(
    changes=tuple(Change(flag(f"same-{n}"), Action.NONE) for n in range(47)),
    host="http://127.0.0.1:8000",
)
DRIFTED = Plan(
    changes=(
        CREATED_ROLE,
        update(
            "new-checkout",
            rollout(77, 50, base=50, cause=Cause.DRIFT),
            FieldChange("tags", ["web", "hotfix"], ["web"], ["web"], Cause.DRIFT),
            source=Source("config/flags.yaml", 31),
        ),
        DELETED,
        *(Change(flag(f"same-{n}"), Action.NONE) for n in range(4)),
    ),
    host="http://127.0.0.1:8000",
    base_ref="HEAD",
    base_commit="0123456789abcdef0123456789abcdef01234567",
    unmanaged=(flag("made-by-hand"),),
)

REQUEST_PAGE = f"http://127.0.0.1:8000/project/1/approvals/{REQUEST}"
DANA = Attribution(
    "dana@acme.test",
    "2026-01-06T10:12:33.123456Z",
    "web",
    impersonated=False,
    approval_class=ApprovalClass.BYPASS,
    change=(50, 77),
    policy=UPDATE,
    url="http://127.0.0.1:8000/project/1/feature_flags/42",
)
CAROL = Attribution(
    "carol@acme.test",
    "2026-01-05T23:59:59Z",
    impersonated=False,
    approval_class=ApprovalClass.APPROVED,
    change_request=REQUEST,
    change=(False, True),
    url=REQUEST_PAGE,
)
STAFF = replace(
    DANA,
    client="terraform",
    impersonated=True,
    approval_class=ApprovalClass.UNAPPROVED,
    policy=None,
)
GONE = replace(
    CAROL,
    person=None,
    approval_class=ApprovalClass.UNAPPROVED,
    change_request=None,
    action=LogAction.DELETED,
    change=None,
)
UNSAID = Attribution(note="PostHog's activity log has no entries for approval policies")
UNAPPLIED = Attribution(
    action=LogAction.UNAPPLIED, note="git has moved on since 0123456789 was applied"
)
DOUBTED = replace(
    STAFF,
    approval_class=ApprovalClass.UNKNOWN,
    change=(30, 77),
    impersonated=False,
    note="it changed",
)
HOLD = Hold(
    "FeatureFlag/acme/Web/*",
    datetime(2026, 12, 1, tzinfo=UTC),
    "2026-12-01",
    "INC-42: off until the fix is out",
    Source("reconciler.yaml", 9, 16),
)
TOLD = replace(
    DRIFTED,
    changes=(
        replace(
            CREATED_ROLE,
            attribution=GONE,
            fields=tuple(replace(one, attribution=GONE) for one in CREATED_ROLE.fields),
        ),
        update(
            "new-checkout",
            rollout(77, 50, base=50, cause=Cause.DRIFT, attribution=DANA),
            FieldChange("name", "x", "y", "y", Cause.DRIFT, replace(DANA, change=("y", "x"))),
            FieldChange("tags", ["web"], [], [], Cause.DRIFT, STAFF),
            FieldChange("active", True, False, False, Cause.DRIFT, CAROL),  # noqa: FBT003  live, desired
            source=Source("config/flags.yaml", 31),
            hold=HOLD,
        ),
        update("old-search", rollout(77, 50, base=50, cause=Cause.DRIFT, attribution=DOUBTED)),
        Change(
            Address("ApprovalPolicy", ("acme", "Web", "feature_flag.update")),
            Action.UPDATE,
            (FieldChange("enabled", False, True, True, Cause.DRIFT, UNSAID),),  # noqa: FBT003  as above
            live_id="1",
        ),
        replace(DELETED, attribution=replace(STAFF, action=LogAction.RESTORED, change=None)),
    ),
    not_applied=(
        update(
            "late",
            FieldChange("active", False, True, True, Cause.DRIFT, UNAPPLIED),  # noqa: FBT003  live, desired
            gate=gate(Verdict.PENDING, change_request=REQUEST),
        ),
        replace(CREATED_ROLE, attribution=UNAPPLIED),
    ),
    ignored=(
        Ignored(flag("experiment-1")),
        Ignored(flag("new-checkout"), "filters.payloads", {}, {"true": "1"}),
    ),
)

OUTCOMES = (
    Outcome(MANAGERS, Action.CREATE, Result.DONE, "1", attempts=1),
    Outcome(
        flag("new-checkout"),
        Action.UPDATE,
        Result.WAITING,
        "42",
        REQUEST,
        f"http://127.0.0.1:8000/project/1/approvals/{REQUEST}",
        1,
    ),
    Outcome(flag("by-an-owner"), Action.UPDATE, Result.DONE, "42", attempts=1),
    Outcome(
        flag("held-by-another"),
        Action.UPDATE,
        Result.WAITING,
        change_request=REQUEST,
        problem=Problem(
            "an open change request of carol@acme.test proposes something else",
            "PostHog holds one request per action and flag",
            "not applied",
            f"have it decided or cancelled: reconciler requests show {REQUEST}",
        ),
    ),
    Outcome(
        flag("two-gates"),
        Action.UPDATE,
        Result.FAILED,
        problem=Problem(
            "PATCH /api/projects/1/feature_flags/42/: PostHog failed",
            "HTTP 500",
            "unknown: it may or may not have been carried out",
            "run apply again; it re-reads the live state and continues",
        ),
        attempts=1,
    ),
    Outcome(
        flag("turned-down"),
        Action.UPDATE,
        Result.REFUSED,
        problem=Problem("it moved since the plan was made", "version 4, not 3", "not sent", "plan"),
    ),
    *(
        Outcome(
            flag(key),
            Action.UPDATE,
            Result.SKIPPED,
            problem=Problem("needs Role/acme/R, which failed", "", "not sent", "see Role/acme/R"),
        )
        for key in ("nobody-knows", "new-search")
    ),
)


def saying(word, verdict=Verdict.APPROVAL, severity=Severity.ERROR):
    """A plan that says `word` wherever a file or a server could have put it."""
    here = Address("FeatureFlag", (word, word, word))
    note = Finding("code", severity, word, word, word, Source(word, 3, 2), here, word, 2)
    told = Attribution(
        word,
        word,
        word,
        True,  # noqa: FBT003  impersonated
        ApprovalClass.BYPASS,
        word,
        LogAction.CHANGED,
        (word, [word]),
        word,
    )
    told = replace(told, url=word, note=word)
    ended = datetime(2026, 12, 1, tzinfo=UTC)
    held = Hold(word, ended, word, word, Source(word, 3))
    values = (
        FieldChange(word, word, "new", word, Cause.CONFLICT, told),
        FieldChange("a", "old", word),
        FieldChange("b", [word], ["x"]),
        FieldChange("c", {word: "x"}, {"y": word}),
        FieldChange("d", ABSENT, word),
    )
    asked = Gate(
        verdict,
        Confidence.CERTAIN,
        word,
        word,
        2,
        Approvers((word,), {word: (word,)}),
        word,
        word,
        word,
        {word: word},
    )
    doubt = Gate(confidence=Confidence.LIKELY, note=word)
    place = Source(word, 7)
    other = Address(word, (word,))
    vote = Vote(word, approved=True, at=word, reason=word)
    filed = ChangeRequest(
        word, word, word, word, word, word, word, word, None, {}, word, word, (vote,), word
    )
    return Plan(
        changes=(
            Change(
                here,
                Action.UPDATE,
                values,
                asked,
                word,
                word,
                place,
                warnings=(note,),
                url=word,
                hold=held,
            ),
            Change(other, Action.CREATE, values[1:], doubt, source=place, depends_on=(here,)),
            Change(Address("Role", (word, word)), Action.DELETE, live_id=word, attribution=told),
        ),
        target=word,
        host=word,
        created_at=word,
        base_ref=word,
        base_commit=word,
        desired_digest=word,
        unmanaged=(here,),
        released=(Released(here, word, word, word),),
        findings=(note, Finding("unmanaged-field", Severity.NOTICE, word)),
        change_requests=(filed,),
    )


def outcomes_saying(word):
    """Outcomes of that plan, which say it again."""
    trouble = Problem(word, word, word, word)
    return tuple(
        Outcome(Address("Role", (word, f"{result}")), Action.UPDATE, result, word, word, word, 1, p)
        for result in Result
        for p in (trouble, None)
    )
