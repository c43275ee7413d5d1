"""Judge a past write by policies that were not live then. The gate engine decides (contract 5).

What is not known of the past, such as the level of a person, is tried with every possible value.
The result is the answer only if it is the same each time.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import product
from typing import Final, NamedTuple

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    EXPERIMENT_TWINS,
    HOLDOUT_ACTIONS,
    Action,
    Address,
    Change,
    Confidence,
    FieldChange,
    FlagWrite,
    Live,
    LiveResource,
    Person,
    Resource,
    Spec,
    Verdict,
    format_level_with_article,
    parse_level,
)
from reconciler.plan.approvals import actions, server_generation
from reconciler.plan.approvals.conditions import RELEASE, are_about, evaluate_conditions
from reconciler.plan.approvals.evaluation import CallEvaluation, GateEvaluator
from reconciler.plan.approvals.owners import Owner
from reconciler.plan.approvals.policies import Policy, Scope
from reconciler.plan.approvals.server_generation import Generation, Generations
from reconciler.plan.replay.past_people import Actor

_ACTOR: Final = "actor"  # stands for the person who wrote
_NEEDED: Final = ("active", "filters", "bucketing_identifier", "is_remote_configuration")
_UPDATES: Final = (actions.UPDATE, EXPERIMENT_TWINS[actions.UPDATE])
_BY_FIELD: Final = {  # a field -> the actions that may cover its change
    "active": tuple(
        name
        for action in (actions.ENABLE, actions.DISABLE)
        for name in (action, EXPERIMENT_TWINS[action])
    ),
    "filters": _UPDATES,
    "bucketing_identifier": _UPDATES,
}
_ORDER: Final = (actions.ENABLE, actions.DISABLE, actions.UPDATE)  # in which G1 takes one


class _Hypothesis(NamedTuple):
    """One possible past."""

    generation: Generation
    owner: Owner
    scoped: bool
    level: int
    roles: frozenset[str]


_DOUBTS: Final = {  # the part of a hypothesis on which the answer depends -> why it is unknown
    "roles": "the log does not show who had {roles} at that time",
    "level": "the log does not show the level of {person} at that time",
    "generation": server_generation.GATED_BY_SOME,
    "owner": "it depends on which product owned the flag then, and the log does not show that",
    "scoped": "it depends on whether PostHog had policies per owner of a flag then",
}


_SERVERS_DIFFER: Final = "servers of PostHog differ on whether the policy's conditions cover it"


@dataclass(frozen=True, slots=True)
class WriteFacts:
    """What is known of a write besides its entry.

    Attributes:
        actor: who wrote.
        owners: the products that may have owned the flag.
        scoped: whether PostHog may have had policies per owner then, and may not have had them.
        doubt: why PostHog may not have asked the policies of flags about this write.

    """

    actor: Actor
    owners: tuple[Owner, ...] = (Owner.NOBODY,)
    scoped: tuple[bool, ...] = (False,)
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a write would have waited; None if it is not known.

    Attributes:
        would_wait: the answer.
        action: the action that decides, or the first that the write matches.
        policy: the policy that decides.
        why: the reason, as a clause.
        waiting: the policies that it would have waited for.

    """

    would_wait: bool | None
    action: str | None = None
    policy: Policy | None = None
    why: str = ""
    waiting: tuple[Policy, ...] = ()


class Judge:
    """The policies of one project, applied to past writes."""

    def __init__(
        self,
        scope: Scope,
        policies: Collection[Policy],
        generations: Generations,
    ) -> None:
        """Keep the enabled policies. `generations`: those that fit the server, newest first."""
        self._scope, self._generations = scope, generations
        self._policies = {policy.action: policy for policy in policies if policy.enabled}
        self.levels = frozenset(
            parse_level(level)
            for policy in self._policies.values()
            for level in policy.spec.get("bypass_levels") or ()
        )
        self.roles = frozenset(
            str(role)
            for policy in self._policies.values()
            for role in policy.spec.get("bypass_roles") or ()
        )
        self._evaluators: dict[tuple[bool, int, frozenset[str]], GateEvaluator] = {}

    def judge(self, address: Address, write: FlagWrite, facts: WriteFacts) -> Judgement:
        """Return whether a write would have waited."""
        change, former = _build_change(address, write)
        results = {
            hypothesis: self._evaluate(hypothesis, change, former, facts.actor)
            for hypothesis in self._list_hypotheses(facts)
        }
        first = next(iter(results.values()))
        waiting = next((each for each in results.values() if each.would_wait is not False), None)
        shown = waiting or first
        lacking = self._find_lacking(write)
        if lacking and (Generation.G1 in self._generations or not _all_wait(results.values())):
            fields = ", ".join(f"`{name}`" for name in sorted(lacking))
            return _mark_unknown(shown, f"the log does not show {fields} of the flag")
        if facts.doubt and (
            shown.policy is not None or self._policies.keys() & set(HOLDOUT_ACTIONS)
        ):
            return _mark_unknown(shown, facts.doubt)
        answers = {result.would_wait for result in results.values()}
        if len(answers) == 1:
            return shown
        if None in answers:
            return next(result for result in results.values() if result.would_wait is None)
        return _mark_unknown(shown, self._explain_difference(results, facts.actor))

    def _list_hypotheses(self, facts: WriteFacts) -> Iterator[_Hypothesis]:
        actor = facts.actor
        roles = dict.fromkeys((actor.roles, actor.roles | actor.doubtful_roles))
        every = product(self._generations, facts.owners, facts.scoped, actor.levels, roles)
        for values in every:
            yield _Hypothesis(*values)
            if not self._policies:  # then it makes no difference
                return

    def _evaluate(
        self, hypothesis: _Hypothesis, change: Change, former: LiveResource | None, actor: Actor
    ) -> Judgement:
        """Return what the gate would have done, if the past was like this."""
        generation, engine = hypothesis.generation, self._get_evaluator(hypothesis)
        evaluations = engine.evaluate_calls(change, former, generation, owner=hypothesis.owner)
        gated = [evaluation for evaluation in evaluations if evaluation.policy is not None]
        if generation is Generation.G1:  # the first action with a policy decides (contract 5.1)
            gated = sorted(gated, key=lambda each: _ORDER.index(each.action_match.action))[:1]
        waiting = [
            evaluation
            for evaluation in gated
            if evaluation.verdict is Verdict.APPROVAL and _is_certain(evaluation, generation)
        ]
        if waiting:
            return Judgement(
                would_wait=True,
                action=waiting[0].action_match.action,
                policy=waiting[0].policy,
                why="; ".join(evaluation.condition or "" for evaluation in waiting),
                waiting=tuple(each.policy for each in waiting if each.policy is not None),
            )
        for evaluation in gated:
            policy = evaluation.policy
            passes = policy is not None and engine.people.find_bypass(policy).passes
            if not passes and not _is_certain(evaluation, generation):
                return Judgement(None, evaluation.action_match.action, policy, _SERVERS_DIFFER)
        if gated:
            why = _explain_passage(gated[0], hypothesis, actor)
            return Judgement(
                would_wait=False,
                action=gated[0].action_match.action,
                policy=gated[0].policy,
                why=why,
            )
        if evaluations:
            action = evaluations[0].action_match.action
            why = f"no enabled policy for {action} is declared"
            return Judgement(would_wait=False, action=action, why=why)
        return Judgement(would_wait=False, why="no approval is needed for such a change")

    def _get_evaluator(self, hypothesis: _Hypothesis) -> GateEvaluator:
        """Return the gate engine, with the person as the one who writes."""
        key = hypothesis.scoped, hypothesis.level, hypothesis.roles
        if (known := self._evaluators.get(key)) is not None:
            return known
        organization = self._scope[0]
        level = hypothesis.level
        resources = {policy.address: policy.spec for policy in self._policies.values()}
        for role in self.roles:
            holders = [_ACTOR] if role.casefold() in hypothesis.roles else []
            resources[Address("Role", (organization, role))] = {"members": holders}
        place = Address("Organization", (organization,))
        live = Live(
            resources={
                place: LiveResource(place, "", {}, {"membership_level": level}),
                **{a: LiveResource(a, str(a), spec, {}) for a, spec in resources.items()},
            },
            ids={},
            duplicates={},
            people={},
            me=Person(0, "", _ACTOR, level),
        )
        scoped = (organization,) if hypothesis.scoped else ()
        evaluator = GateEvaluator((), live, scoped=scoped)
        self._evaluators[key] = evaluator
        return evaluator

    def _find_lacking(self, write: FlagWrite) -> frozenset[str]:
        """Return the fields that the log does not show, and on which a policy depends."""
        lacking = set()
        only_conditions = "bucketing_identifier" in write.after  # the filters were not changed
        for name in write.missing:
            for action in _BY_FIELD.get(name, ()):
                policy = self._policies.get(action)
                if policy is not None and (policy.conditions or not only_conditions):
                    lacking.add(name)
        return frozenset(lacking)

    def _explain_difference(self, results: Mapping[_Hypothesis, Judgement], actor: Actor) -> str:
        """Return what the answer depends on."""
        names = {"roles": ", ".join(sorted(self.roles)), "person": actor.email or "the person"}
        for part, reason in _DOUBTS.items():
            answers: dict[tuple[object, ...], bool | None] = {}
            for hypothesis, result in results.items():
                rest = tuple(v for name, v in hypothesis._asdict().items() if name != part)
                if answers.setdefault(rest, result.would_wait) is not result.would_wait:
                    return reason.format(**names)
        return "; ".join(reason.format(**names) for reason in _DOUBTS.values())


def _all_wait(results: Iterable[Judgement]) -> bool:
    return all(result.would_wait for result in results)


def _mark_unknown(judgement: Judgement, why: str) -> Judgement:
    return Judgement(None, judgement.action, judgement.policy, why)


def _is_certain(evaluation: CallEvaluation, generation: Generation) -> bool:
    """Return whether the policy's conditions have one result on servers of this generation."""
    policy = evaluation.policy
    if evaluation.confidence is Confidence.UNKNOWN or policy is None:
        return False
    if are_about(policy.conditions, RELEASE) and (
        generation is Generation.G3 or evaluation.action_match.transition
    ):
        return True
    fields = evaluation.action_match.fields
    return evaluate_conditions(policy.conditions, fields).is_certain


def _explain_passage(evaluation: CallEvaluation, hypothesis: _Hypothesis, actor: Actor) -> str:
    """Return why a write passes a policy that is enabled."""
    policy = evaluation.policy
    if evaluation.verdict is not Verdict.BYPASS or policy is None:
        return "the conditions of the policy do not cover it"
    levels = {parse_level(level) for level in policy.spec.get("bypass_levels") or ()}
    person = actor.email or "the person"
    if hypothesis.level in levels:
        return f"{person} bypasses it as {format_level_with_article(hypothesis.level)}"
    return f"{person} bypasses it with a role"


def _build_change(address: Address, write: FlagWrite) -> tuple[Change, LiveResource | None]:
    """Return a write as the change that the engine evaluates, and the flag before it.

    What is not known is left out, so that the write seems to need no approval for it.
    """
    after: Spec = {name: write.after[name] for name in _NEEDED if name in write.after}
    if write.before is None:
        after = {"active": False, **after}  # PostHog creates flags active otherwise
        if "filters" not in after:  # of a remote configuration it would take them as 100 %
            after.pop("is_remote_configuration", None)
        return _make_change(address, Action.CREATE, after), None
    before = {name: write.before[name] for name in _NEEDED if name in write.before}
    after = {name: value for name, value in after.items() if name in before}
    if "filters" in after:  # the engine merges them, as PostHog does: say what was removed
        removed = dict.fromkeys(before["filters"])
        after["filters"] = {**removed, **after["filters"]}
    return _make_change(address, Action.UPDATE, after), LiveResource(address, "", {}, before)


def _make_change(address: Address, action: Action, after: Spec) -> Change:
    fields = tuple(FieldChange(name, None, value) for name, value in after.items())
    return Change(address, action, fields, desired=Resource(address, after))
