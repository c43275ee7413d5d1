"""Every answer of the contract means one thing. Pure: no server."""

import json

import pytest

from reconciler import errors
from reconciler.normal_form import encrypted_payloads
from reconciler.posthog.responses import Call, Response, read_response

GET = Call("GET", "/api/projects/1/feature_flags/7/")
PATCH = Call("PATCH", "/api/projects/1/feature_flags/7/")
VOTE = Call("POST", "/api/projects/1/change_requests/b7c1/approve/")
CREATE = Call("POST", "/api/projects/1/approval_policies/")
DELETE = Call("DELETE", "/api/projects/1/approval_policies/7/")


def _answer(status, body, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"content-type": "application/json", **headers}, raw)


def _error(call, status, body, **headers):
    with pytest.raises(errors.ApiError) as caught:
        read_response(
            call, _answer(status, body, **headers), key_source="MY_KEY", now=1_767_225_600.0
        )
    return caught.value


def _standard(type_, code, detail="Some text.", attr=None):
    return {"type": type_, "code": code, "detail": detail, "attr": attr}


STANDARD = [
    (400, "validation_error", "required", errors.InvalidRequestError),
    (400, "validation_error", "invalid_input", errors.InvalidRequestError),
    (400, "invalid_request", "parse_error", errors.InvalidRequestError),
    (401, "authentication_error", "not_authenticated", errors.AuthenticationError),
    (401, "authentication_error", "authentication_failed", errors.AuthenticationError),
    (402, "server_error", "payment_required", errors.PaymentRequiredError),
    (403, "authentication_error", "permission_denied", errors.PermissionDeniedError),
    (404, "invalid_request", "not_found", errors.NotFoundError),
    (405, "invalid_request", "method_not_allowed", errors.InvalidRequestError),
    (409, "server_error", "conflict", errors.VersionConflictError),
    (410, "invalid_request", "gone", errors.NotFoundError),
    (413, "", "", errors.InvalidRequestError),
    (415, "invalid_request", "unsupported_media_type", errors.InvalidRequestError),
    (422, "", "", errors.InvalidRequestError),
    (425, "", "", errors.ServerError),
    (429, "throttled_error", "throttled", errors.ThrottledError),
]
BROKEN = [(408, ""), (500, "error"), (502, ""), (503, "database_unavailable"), (504, ""), (520, "")]


@pytest.mark.parametrize(("status", "type_", "code", "cls"), STANDARD)
@pytest.mark.parametrize("call", [GET, PATCH], ids=["read", "write"])
def test_every_status_of_the_contract_is_one_error(call, status, type_, code, cls):
    error = _error(call, status, _standard(type_, code, "Some text.", "field"))

    assert type(error) is cls
    assert (error.method, error.path, error.status) == (call.method, call.path, status)
    assert (error.type, error.code, error.attr, error.detail) == (
        type_, code, "field", "Some text."
    )  # fmt: skip
    assert error.what
    assert str(status) in error.why
    assert error.fix
    assert error.state == (
        "nothing was written"
        if call is GET
        else "not sent"
        if cls is errors.ThrottledError
        else "sent, not applied"
    )


@pytest.mark.parametrize(("status", "code"), BROKEN)
def test_a_failing_server_leaves_a_write_unknown_and_a_read_failed(status, code):
    body = _standard("server_error", code)

    assert type(_error(GET, status, body)) is errors.ServerError
    ambiguous = _error(PATCH, status, body)
    assert type(ambiguous) is errors.AmbiguousError
    assert ambiguous.status == status
    assert "unknown" in ambiguous.state


def _gate(code, **more):
    return {"code": code, "resource_id": "418", "change_request_id": "b7c1", **more}


@pytest.mark.parametrize(
    ("body", "cls"),
    [
        (
            _gate("approval_required", status="approval_required", change_request={"id": "b7c1"}),
            errors.ApprovalRequiredError,
        ),
        (_gate("approval_required", change_request={}), errors.ApprovalRequiredError),
        (
            _gate(
                "change_request_pending", status="approval_required", change_request={"id": "b7c1"}
            ),
            errors.ChangeRequestPendingError,
        ),
        (
            _gate("change_request_pending", error="x", existing_change_request={"id": "b7c1"}),
            errors.ChangeRequestPendingError,
        ),
        (_gate("", existing_change_request={"id": "b7c1"}), errors.ChangeRequestPendingError),
        (_gate(""), errors.ApprovalRequiredError),
        (
            {"code": "approval_required", "change_request": {"id": "b7c1"}},
            errors.ApprovalRequiredError,
        ),
    ],
)
def test_both_forms_of_the_gates_409_are_understood(body, cls):
    error = _error(PATCH, 409, body)

    assert type(error) is cls
    assert error.change_request_id == "b7c1"
    found = body.get("change_request") or body.get("existing_change_request") or {}
    assert error.change_request == found
    assert error.body == body
    assert error.state == "not applied; a change request is open"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"<html>",
        [],
        {"id": 1},
        {"detail": "no"},
        {"code": "throttled"},
        {"code": ["approval_required"]},
        {"code": "approval_required"},
        {"code": "approval_required", "change_request_id": 5},
        {"code": "approval_required", "change_request_id": None, "change_request": [1]},
        {"code": "change_request_pending", "existing_change_request": {}},
        {"code": "something_new", "change_request": {"id": "b7c1"}},
    ],
)
def test_a_409_in_unknown_words_may_have_filed_something(body):
    assert type(_error(PATCH, 409, body)) is errors.AmbiguousError
    assert type(_error(CREATE, 409, body)) is errors.AmbiguousError
    assert type(_error(GET, 409, body)) is not errors.AmbiguousError


def test_a_version_conflict_is_about_a_version_that_was_sent():
    body = _standard("server_error", "conflict")

    assert type(_error(CREATE, 409, body)) is errors.AmbiguousError


@pytest.mark.parametrize("status", [407, 418, 423, 451, 499])
def test_a_refusal_that_posthog_does_not_use_may_come_after_the_write(status):
    assert type(_error(PATCH, status, {"detail": "no"})) is errors.AmbiguousError
    assert type(_error(GET, status, {"detail": "no"})) is errors.InvalidRequestError


@pytest.mark.parametrize(
    ("call", "status", "body"),
    [
        *((GET, status, {"count": 0, "results": []}) for status in (201, 202, 203, 206, 207)),
        *((PATCH, status, {"id": 1}) for status in (202, 203, 205, 206, 207, 226)),
        *((CREATE, status, b"") for status in (204, 205)),
        *((DELETE, status, b"") for status in (201, 202, 205, 206, 207)),
        *((DELETE, 200, body) for body in ({}, {"status": "queued"}, {"detail": "No."}, b"null")),
    ],
)
def test_a_2xx_that_posthog_does_not_use_confirms_nothing(call, status, body):
    cls = errors.AmbiguousError if call.writes else errors.UnreadableError

    assert type(_error(call, status, body)) is cls


CONFLICT = {
    "code": "policy_conflict",
    "error": "This change requires approval under multiple policies",
    "conflicting_policies": [{"id": "0c7b", "action_key": "feature_flag.enable"}],
    "guidance": "Split your changes",
}


@pytest.mark.parametrize(
    "body",
    [
        CONFLICT,
        _standard("validation_error", "invalid_input", "policy_conflict", "code"),
        _standard("validation_error", "policy_conflict"),
    ],
)
def test_a_policy_conflict_is_known_in_all_its_forms(body):
    error = _error(PATCH, 400, body)

    assert type(error) is errors.PolicyConflictError
    assert "split" in error.fix
    assert error.body == body


def test_a_policy_of_the_organization_beside_the_projects_own_cannot_be_split():
    """One action, two policies: more calls would not help, so the way out is another."""
    two = [{"id": "0c7b", "name": "ApprovalPolicy"}, {"id": "51aa", "name": "ApprovalPolicy"}]
    error = _error(PATCH, 400, {**CONFLICT, "conflicting_policies": two})

    assert type(error) is errors.PolicyConflictError
    assert "the organization both" in error.fix


def test_policy_conflict_in_the_text_of_another_status_decides_nothing():
    error = _error(PATCH, 403, _standard("", "permission_denied", "policy_conflict"))

    assert type(error) is errors.PermissionDeniedError


@pytest.mark.parametrize(
    ("status", "body", "cls", "detail"),
    [
        (400, {"error": "You have already voted on this change request."}, "Invalid", "already"),
        (400, {"validation_errors": {"active": ["no"]}}, "Invalid", '{"active":["no"]}'),
        (400, {"name": ["This field is required."]}, "Invalid", "This field is required."),
        (400, ["broken"], "Invalid", "broken"),
        (400, "a string", "Invalid", "a string"),
        (400, b"<html>", "Invalid", ""),
        (400, b"", "Invalid", ""),
        (400, {}, "Invalid", ""),
        (403, {"error": "not allowed", "reason": "because"}, "Permission", "not allowed: because"),
        (403, {"detail": None, "code": 7, "attr": []}, "Permission", ""),
    ],
)
def test_bare_bodies_are_read_for_what_they_say(status, body, cls, detail):
    error = _error(VOTE, status, body)

    assert type(error).__name__.startswith(cls)
    assert detail in error.detail
    assert error.status == status


def test_a_bare_500_of_a_vote_is_ambiguous_and_quoted():
    error = _error(VOTE, 500, {"error": "An error occurred while processing approval."})

    assert type(error) is errors.AmbiguousError
    assert "An error occurred" in error.why


@pytest.mark.parametrize(
    ("call", "status", "detail", "words"),
    [
        (CREATE, 403, "API key missing required scope 'approvals:write'", "scope approvals:write"),
        (CREATE, 403, "Your organization access level is insufficient.", "admin or owner"),
        (GET, 403, "You can only edit others if you are an admin.", "admin or owner"),
        (VOTE, 403, "This action does not support personal API key access", "April 2026"),
        (CREATE, 403, "This action does not support Personal API Key access", "PostHog itself"),
        (
            GET,
            403,
            "API key does not have access to the requested project: ID 7.",
            "give the key access",
        ),
        (
            GET,
            403,
            "API keys with scoped projects are only supported on project-based endpoints.",
            "give the key access",
        ),
        (GET, 403, "You don't have access to the project.", "access to the project"),
        (VOTE, 403, "You are not in the approver set for this change request", "approvers"),
        (VOTE, 403, "You cannot approve your own change request", "somebody else"),
        (VOTE, 403, "You cannot cancel this change request", "requester"),
        (VOTE, 403, "Only pending change requests can be approved", "already decided"),
        (GET, 403, "You do not have permission to perform this action.", "scope"),
        (GET, 401, "Personal API key found is invalid.", "MY_KEY"),
        (CREATE, 402, "Approvals requires a paid PostHog plan.", "--exclude"),
        (GET, 404, "Not found.", "id"),
        (VOTE, 400, "gone", "read the change request again"),
    ],
)
def test_the_fix_helps(call, status, detail, words):
    assert words in _error(call, status, _standard("", "", detail)).fix


def test_the_fix_of_a_refused_field_does_not_name_it():
    """It is the field of the API; whether files have it, only `apply` knows."""
    body = _standard("validation_error", "invalid_input", "no", "deleted")

    assert "deleted" not in _error(CREATE, 400, body).fix


def test_a_detail_is_cut_redacted_and_one_line():
    key = "phx_" + "a1B2" * 10
    detail = f"line\none {key} " + "x" * 2000
    error = _error(PATCH, 400, _standard(key, key, detail, key))

    assert len(error.detail) == 500
    assert "\n" not in error.detail + error.why
    assert key not in f"{error} {error.why} {error.fix} {error.detail} {error.attr} {error.code}"


def test_a_throttled_answer_carries_the_wait():
    body = _standard("throttled_error", "throttled", "Expected available in 13 seconds.")

    assert _error(GET, 429, body, **{"retry-after": "14"}).retry_after_s == 14.0
    assert _error(GET, 429, body).retry_after_s == 13.0
    assert _error(GET, 429, b"").retry_after_s is None


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://user:pw@elsewhere.test/login?next=x", "https://elsewhere.test"),
        ("/login", "another path"),
        ("http://[", "another path"),
        ("", "another path"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_is_an_error_that_names_the_target(status, location, words):
    error = _error(GET, status, b"", location=location)

    assert type(error) is errors.UnreadableError
    assert words in str(error)
    assert "pw" not in f"{error} {error.fix}"
    after = _error(PATCH, status, b"", location=location)
    assert type(after) is errors.AmbiguousError
    assert words in str(after)


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"<html>", "text/html"), (b"{}", "text/html"), (b"{", "application/json"), (b"", "")],
)
def test_a_success_that_cannot_be_read_is_no_success(body, kind):
    answer = Response(200, {"content-type": kind}, body)

    with pytest.raises(errors.UnreadableError) as reading:
        read_response(GET, answer)
    with pytest.raises(errors.AmbiguousError) as writing:
        read_response(PATCH, answer)
    assert "login page" in reading.value.fix
    assert "unknown" in writing.value.state


def test_the_start_of_an_unreadable_body_is_quoted_escaped():
    answer = Response(200, {"content-type": "text/html"}, b"\x1b[31m<html>\nphx_" + b"a" * 30)
    with pytest.raises(errors.UnreadableError) as caught:
        read_response(GET, answer)

    assert "\\x1b[31m<html>" in caught.value.why
    assert "aaaa" not in caught.value.why


def test_an_answer_without_a_body_is_none_for_deletes_only():
    assert read_response(DELETE, Response(204, {}, b"")) is None
    assert read_response(DELETE, Response(200, {}, b"")) is None
    assert read_response(PATCH, _answer(200, {"a": 1})) == {"a": 1}
    assert read_response(PATCH, _answer(201, "text")) == "text"
    with pytest.raises(errors.UnreadableError):
        read_response(GET, Response(204, {}, b""))
    with pytest.raises(errors.AmbiguousError):
        read_response(PATCH, Response(200, {}, b""))


# --- payloads that PostHog encrypts ---

HUSH = "hush-3f9a2c7e"
SHOWN = '"********* (encrypted)"'


def _flag(**more):
    return {"id": 7, "filters": {"payloads": {"true": f'"{HUSH}"'}}, **more}


@pytest.mark.parametrize("nest", [lambda row: row, lambda row: {"results": [row]}])
def test_payloads_of_an_encrypted_flag_are_concealed(nest):
    """A server decrypts them for some keys (contract 9.1)."""
    body = read_response(GET, _answer(200, nest(_flag(has_encrypted_payloads=True))))

    assert HUSH not in json.dumps(body)
    plain = read_response(GET, _answer(200, nest(_flag(has_encrypted_payloads=False))))
    assert HUSH in json.dumps(plain)


@pytest.mark.parametrize(
    "row",
    [
        {
            "intent": {"flag_id": 7, "full_request_data": _flag()},
            "intent_display": {"after": _flag()},
        },
        {
            "intent": {
                "full_request_data": _flag(has_encrypted_payloads=True),
                "http_method": "POST",
            }
        },
        {"intent": {"encrypted_payloads": {"true": HUSH}}},
        {"intent": {"x": [_flag()]}, "apply_error": f"cannot decrypt {HUSH}!"},
        {"intent": {"x": [_flag()]}, "validation_errors": {"filters": [f"{HUSH} is not JSON"]}},
        {
            "activity": "updated",
            "detail": {"changes": [{"field": "filters", "after": _flag()["filters"]}]},
        },
        {
            "activity": "updated",
            "detail": {"changes": [{"field": "filters", "before": json.dumps(_flag())}]},
        },
        {"scheduled_at": "2026-01-10", "payload": {"value": {"payloads": {"true": HUSH}}}},
        {"feature_flag": _flag(has_encrypted_payloads=True)},
    ],
)
def test_what_does_not_name_its_flag_is_concealed(row):
    for body in (row, {"results": [row]}, {"change_request": row}, [row]):
        text = json.dumps(read_response(GET, _answer(200, body)))
        assert HUSH[5:] not in text
        assert "(encrypted)" in text
    error = _error(PATCH, 409, {"code": "approval_required", "change_request": row})
    assert HUSH not in json.dumps(error.body)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, _standard("validation_error", "invalid_input", f"Not valid: {HUSH[3:]}")),
        (400, {"error": {"filters": {"payloads": [HUSH]}}}),
        (500, f"<html>{HUSH} crashed".encode()),
        (200, f"<html>{HUSH}".encode()),
        (418, [HUSH]),
    ],
)
def test_no_error_quotes_a_payload_of_its_request(status, body):
    sent = {"has_encrypted_payloads": True, **_flag()}
    secrets = encrypted_payloads.list_sent_secrets(sent)
    assert (HUSH,) == secrets

    with pytest.raises(errors.ApiError) as caught:
        read_response(PATCH, _answer(status, body), secrets=secrets)

    shown = f"{caught.value} {vars(caught.value)}"
    assert HUSH[3:] not in shown
    assert status == 500 or "withheld" in shown  # nothing is quoted of a failed server
