"""A finding that is meant is silenced, with a reason; what makes a file unusable never is."""

import pytest

POLICY = """\
kind: ApprovalPolicy
metadata:
  organization: acme
  project: Web
  action: feature_flag.delete
  silence: {silence}
spec: {spec}
"""
SOUND = "{approvers: {quorum: 1, users: [a@acme.test]}}"
ROLES = "{approvers: {quorum: 1, roles: [A]}}"


def found(folder, silence, spec=SOUND):
    """Codes, lines and messages of a policy that gates nothing."""
    content = POLICY.format(silence=silence, spec=spec)
    findings = folder.write({"a.yaml": content}).load().declared.findings
    return [(one.code, one.source.line, one.message) for one in findings]


def test_a_warning_is_silenced_with_a_reason(folder):
    """And nothing else of the document is."""
    assert found(folder, "[{check: R020, reason: ours}]") == []
    assert found(folder, "[{check: R020, reason: ours}]", ROLES) == [
        ("R026", 7, "only roles may approve")
    ]


def test_a_silence_is_counted(folder):
    """So that `validate` can say how much it does not say."""
    content = POLICY.format(silence="[{check: R020, reason: ours}]", spec=SOUND)

    assert folder.write({"a.yaml": content}).load().silences.silenced == 1


@pytest.mark.parametrize(
    ("silence", "message"),
    [
        ("[{check: R020, reason: a}, {check: R999, reason: a}]", "unknown check R999"),
        ("[{check: R020, reason: a}, {check: R005, reason: a}]", "R005 cannot be silenced"),
        ("[{check: R020, reason: a}, {check: R025, reason: a}]", "R025 cannot be silenced"),
        ("[{check: R020, reason: a}, {check: R020, reason: b}]", "R020 is silenced twice"),
        (
            "[{check: R020, reason: a}, {check: R021, reason: b}]",
            "R021 has nothing to silence here",
        ),
    ],
)
def test_a_silence_that_makes_no_sense_is_a_warning(folder, silence, message):
    """Otherwise it would hide what comes later."""
    assert found(folder, silence) == [("R025", 6, message)]


def test_a_silence_of_a_live_check_is_of_use_online_alone(folder):
    """Offline nobody can tell."""
    silence = "[{check: R020, reason: a}, {check: R031, reason: b}]"
    content = POLICY.format(silence=silence, spec=SOUND)
    loaded = folder.write({"a.yaml": content}).load()

    assert loaded.declared.findings == ()
    assert ["R031 has nothing to silence here"] == [
        one.message for one in loaded.silences.find_unused(live=True)
    ]


@pytest.mark.parametrize(
    ("silence", "code"),
    [
        ("[{check: R020}]", "R006"),
        ("[{check: R020, reason: ' '}]", "R005"),
        ("[{check: 20, reason: a}]", "R005"),
        ("[{check: r20, reason: a}]", "R005"),
        ("[R020]", "R005"),
        ("[{check: R020, reason: a, until: b}]", "R004"),
    ],
)
def test_a_silence_needs_a_code_and_a_reason(folder, silence, code):
    """An empty one is none."""
    folder.write({"a.yaml": POLICY.format(silence=silence, spec=SOUND)})

    assert code in [finding.code for finding in folder.errors()]


def test_what_makes_a_document_unusable_is_said_all_the_same(folder):
    """Whatever the document says about itself."""
    content = POLICY.format(silence="[{check: R004, reason: a}]", spec="{nothing: 1}")

    assert ["R004"] == [finding.code for finding in folder.write({"a.yaml": content}).errors()]


def test_a_doubt_is_an_error_that_can_be_silenced(folder):
    """Two projects may really be called nearly the same, one of them in no file."""
    content = """\
        kind: Project
        metadata: {organization: acme, name: Website}
        ---
        kind: FeatureFlag
        metadata: {organization: acme, project: Websites, key: a%s}
        """
    assert ["R008"] == [one.code for one in folder.write({"a.yaml": content % ""}).errors()]
    silence = ", silence: [{check: R008, reason: there are two}]"
    assert folder.write({"a.yaml": content % silence}).load().declared.findings == ()


def test_a_silence_of_an_overlay_covers_the_document_below(folder):
    """And the other way round: the address is what is silenced."""
    base = POLICY.replace("  silence: {silence}\n", "").format(spec="{}")
    over = POLICY.format(silence="[{check: R020, reason: a}, {check: R026, reason: b}]", spec=ROLES)
    folder.write({"base/a.yaml": base, "over/b.yaml": over})

    assert folder.load("base", overlays=["over"]).declared.findings == ()


def test_only_the_document_that_says_so_is_silenced(folder):
    """Its neighbours in the file are not."""
    one = POLICY.format(silence="[{check: R020, reason: a}]", spec=SOUND)
    other = POLICY.replace("  silence: {silence}\n", "").format(spec=SOUND).replace("Web", "App")
    (finding,) = folder.write({"a.yaml": f"{one}---\n{other}"}).load().declared.findings

    assert (finding.code, finding.source.line) == ("R020", 9)
