"""What must not change a plan, what must change it in the same way, and what must undo it."""

import random

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, LiveResource, Resource, Result
from reconciler.operations import saved_plan
from reconciler.plan.diff import three_way, values
from reconciler.plan.selection import PlanOptions
from reconciler.planfile import codec
from tests.effort import effort
from tests.integration import running, situations
from tests.integration.situations import HASHES, MARK, OTHER, PLACES, planned, told
from tests.integration.test_idempotence import FLAG
from tests.support import Repository

QUICK = settings(
    max_examples=effort(6, 200, hunt=20),
    phases=[Phase.explicit, Phase.generate],  # shrinking costs requests; the seed replays
    suppress_health_check=list(HealthCheck),
)


def plan_of(sandbox, factory, seed, documents, dice=0, **options):
    sandbox.reset(seed)
    folder = factory.mktemp("files")
    situations.write(folder, documents, dice)
    writer, _, made, _ = planned(sandbox, folder, **options)
    writer.close()
    return made


@QUICK
@given(documents=situations.documents(), seed=situations.seeds(), dice=st.integers(1, 10**6))
def test_where_and_in_what_order_things_are_written_changes_nothing(
    shared_sandbox, tmp_path_factory, documents, seed, dice
):
    """Files, documents, keys, lists that are sets; and the order in which PostHog keeps things."""
    first = plan_of(shared_sandbox, tmp_path_factory, seed, documents)
    live = situations.shuffled(seed, random.Random(dice))  # noqa: S311  a die, not a secret
    again = plan_of(shared_sandbox, tmp_path_factory, live, documents, dice)

    without = PLACES | {"digest", "created_at"}
    assert told(first, without=without) == told(again, without=without)
    assert first.desired_digest == again.desired_digest


@QUICK
@given(documents=situations.documents(), seed=situations.seeds())
def test_renaming_everything_renames_the_plan(shared_sandbox, tmp_path_factory, documents, seed):
    """Organization, projects, roles, people, flags: files and world alike."""
    first = plan_of(shared_sandbox, tmp_path_factory, seed, documents)
    names = situations.renamed((seed, documents))
    again = plan_of(shared_sandbox, tmp_path_factory, *names)

    without = PLACES | HASHES
    assert MARK in told(first, without=without)
    assert told(first, without=without).replace(MARK, OTHER) == told(again, without=without)


@QUICK
@given(documents=situations.documents(gates=False), seed=situations.seeds(gates=False))
def test_two_halves_make_the_whole(shared_sandbox, tmp_path_factory, documents, seed):
    """The flags of one project and those of the other, planned apart and together."""
    flags = [one for one in documents if one["kind"] == "FeatureFlag"]
    whole = plan_of(shared_sandbox, tmp_path_factory, seed, flags)
    halves = []
    for project in situations.PROJECTS:
        half = [one for one in flags if one["metadata"]["project"] == project]
        if half:
            halves += plan_of(shared_sandbox, tmp_path_factory, seed, half).changes

    rows = {one.address: (one.action, one.fields, one.live_fingerprint) for one in whole.changes}
    assert rows == {one.address: (one.action, one.fields, one.live_fingerprint) for one in halves}


def carried_out(sandbox, factory, documents):
    """Plan and apply these documents."""
    repo = Repository(factory.mktemp("repo"), sandbox, token=situations.TOKEN)
    repo.write("all.yaml", *documents)
    return running.apply(repo)


def specs(sandbox, factory, documents):
    """What is live of what the documents write, by address."""
    folder = factory.mktemp("files")
    situations.write(folder, documents)
    writer, world, _, _ = planned(sandbox, folder)
    writer.close()
    return {
        address: values.select_managed(there.spec, world.desired.resources[address].spec)
        for address, there in world.live.resources.items()
        if address in world.desired.resources
    }


def possible(ran):
    """Return a run; leave worlds out in which PostHog would refuse a change, as the plan says.

    A payload for "true" cannot join variants that the files do not write and that stay.
    """
    assume(all(finding.code != "would-be-refused" for finding in ran.made.findings))
    return ran


@settings(QUICK, max_examples=effort(5, 200, hunt=8))
@given(
    one=situations.documents(gates=False),
    other=situations.documents(gates=False),
    seed=situations.seeds(gates=False),
)
def test_there_and_back_again(shared_sandbox, tmp_path_factory, one, other, seed):
    """A, then B, then A: what A manages is as it was after the first time."""
    shared_sandbox.reset(seed)
    assert 0 == possible(carried_out(shared_sandbox, tmp_path_factory, one)).code
    before = specs(shared_sandbox, tmp_path_factory, one)

    assert 0 == possible(carried_out(shared_sandbox, tmp_path_factory, other)).code
    back = possible(carried_out(shared_sandbox, tmp_path_factory, one))
    assert 0 == back.code, back.document

    assert before == specs(shared_sandbox, tmp_path_factory, one)


SPECS = {
    "FeatureFlag": FLAG,
    "ApprovalPolicy": situations.POLICY,
    "Role": st.fixed_dictionaries({"members": situations.some(situations.PEOPLE)}),
    "Member": st.fixed_dictionaries({"level": st.sampled_from(["member", "admin", "owner"])}),
}


@st.composite
def two_specs(draw):
    """A kind, and two specs of it that write the same fields."""
    kind = KINDS[draw(st.sampled_from(sorted(SPECS)))]
    first, second = (kind.canonical(draw(SPECS[kind.name])) for _ in range(2))
    return kind, *alike(first, second)


def alike(first, second):
    """Both cut down to the fields that both write, also inside of mappings."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return first, second
    pairs = {name: alike(first[name], second[name]) for name in first.keys() & second.keys()}
    return tuple({name: pair[side] for name, pair in pairs.items()} for side in (0, 1))


@given(
    st.sampled_from(sorted(SPECS)).flatmap(
        lambda name: st.tuples(st.just(KINDS[name]), SPECS[name])
    )
)
def test_a_normal_form_names_nothing_that_is_not_written(given_):
    """So what is written is enough to know that a resource refers to no other."""
    kind, spec = given_
    assert kind.refers(spec) or not kind.refers(kind.canonical(spec))


@given(two_specs())
def test_the_way_back_is_the_way_there_read_backwards(given_):
    """Field by field: what was live is wanted, and what was wanted is live."""
    kind, first, second = given_
    address = Address(kind.name, ("acme", "Web", "x")[: 3 if "{project}" in kind.collection else 2])

    def step(live, desired):
        there = LiveResource(address, "1", live, {})
        return three_way.compare_resource(Resource(address, desired), None, there)

    there, back = step(first, second), step(second, first)

    assert {(f.path, str(f.live), str(f.desired)) for f in there.fields} == {
        (f.path, str(f.desired), str(f.live)) for f in back.fields
    }
    assert three_way.compare_resource(Resource(address, second), None, None).action is Action.CREATE
    assert step(second, second).action is Action.NONE


def taken_up(sandbox, saved, loaded):
    """The plan as `apply PLANFILE` would carry it out now."""
    writer = situations.writer(sandbox)
    with writer:
        return saved_plan.resume(
            writer, saved, saved_plan.expand_files(saved, loaded, None), PlanOptions()
        )[0]


@QUICK
@given(documents=situations.documents(), seed=situations.seeds())
def test_a_saved_plan_taken_up_at_once_is_the_plan_and_after_it_nothing(
    shared_sandbox, tmp_path_factory, documents, seed
):
    """Compared anew it is what was saved, gates and findings; once applied, only what waits."""
    shared_sandbox.reset(seed)
    repo = Repository(tmp_path_factory.mktemp("repo"), shared_sandbox, token=situations.TOKEN)
    repo.write("all.yaml", *documents)
    writer, _, made, loaded = planned(shared_sandbox, repo.folder)
    writer.close()
    saved = codec.load_plan(codec.dump_plan(made))

    again = taken_up(shared_sandbox, saved, loaded)
    without = {"digest", "created_at", "requests", "basis"}
    assert told(saved, without=without) == told(again, without=without)

    ran = running.apply(repo)
    shared_sandbox.clear()
    rest = taken_up(shared_sandbox, saved, loaded)
    done = {Result.DONE, Result.UNCHANGED}
    assert {row.address for row in ran.outcomes if row.result not in done} == {
        one.address for one in rest.writes
    }
    assert [] == [one for one in rest.findings if one.code in {"stale", "gate-moved"}]


EDITS = {
    "name": st.sampled_from(["", "moved", "x"]),
    "active": st.booleans(),
    "tags": st.lists(st.sampled_from(["t", "u"]), unique=True),
    "filters": st.builds(
        lambda share: {"groups": [{"properties": [], "rollout_percentage": share}]},
        st.sampled_from([0, 10, 50, 100]),
    ),
}


@QUICK
@given(
    documents=situations.documents(gates=False),
    seed=situations.seeds(gates=False),
    edits=st.lists(
        st.tuples(st.integers(0, 9), st.fixed_dictionaries({}, optional=EDITS)),
        min_size=1,
        max_size=3,
    ),
)
def test_whatever_people_do_in_between_is_never_written_over(
    shared_sandbox, tmp_path_factory, documents, seed, edits
):
    """A field is as it was, or as the plan wants it, or its flag is refused and stays."""
    shared_sandbox.reset(seed)
    folder = tmp_path_factory.mktemp("files")
    situations.write(folder, documents)
    writer, world, made, loaded = planned(shared_sandbox, folder)
    writer.close()
    saved = codec.load_plan(codec.dump_plan(made))
    flags = [one for one in saved.writes if one.address.kind == "FeatureFlag" and one.live_id]
    for number, edit in edits if flags else ():
        flag = flags[number % len(flags)]
        (project,) = world.live.ids[Address("Project", flag.address.parts[:2])]
        path = f"/api/projects/{project}/feature_flags/{flag.live_id}/"
        shared_sandbox.call("PATCH", path, edit, token=situations.TOKEN)

    now = taken_up(shared_sandbox, saved, loaded)
    writer, moved, _, _ = planned(shared_sandbox, folder)
    writer.close()
    refused = {one.address for one in now.findings if one.code == "stale"}
    for flag in flags:
        before, after = (side.live.resources[flag.address].spec for side in (world, moved))
        wants = world.desired.resources[flag.address].spec
        left = [
            name
            for name in {*before, *after}
            if before.get(name) != after.get(name)
            and values.select_managed(after.get(name), wants.get(name, before.get(name)))
            != wants.get(name, before.get(name))
        ]
        done = three_way.compare_resource(
            world.desired.resources[flag.address], None, moved.live.resources[flag.address]
        )
        assert (flag.address in refused) == (bool(left) and done.action is not Action.NONE), left
