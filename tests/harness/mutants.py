"""Planted bugs: one line of our own safety code spoiled, and the harness has to find it.

    python -m tests.harness.mutants [NAME…]

Each is planted in a copy of the tree; then the hunts run, one after the other, until one fails. A
bug that survives them all means that something which is promised is not tested.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parent.parent.parent
WORKERS = 2
HUNT = ("--hypothesis-profile", "hunt")
SCHEDULES = ("-m", "tests.harness", "--stop", "1-60")
SINGLES = ("-m", "pytest", "-x", "-q", "tests/harness/test_single_faults.py")
KILLS = ("-m", "pytest", "-x", "-q", "tests/harness/test_kill.py")
LIVENESS = ("-m", "pytest", "-x", "-q", "tests/harness/test_liveness.py")
PAGES = ("-m", "pytest", "-x", "-q", "tests/harness/test_pages.py")
TWO = ("-m", "pytest", "-x", "-q", "tests/harness/test_two_appliers.py")
WRITES = tuple(
    f"tests/integration/test_{name}.py"
    for name in ("confirmed_writes", "run_endings", "past_requests", "lost_responses", "no_voting",
                 "partial_writes", "concurrent_edits", "gate", "waiting")
)  # fmt: skip
APPLY = ("-m", "pytest", "-x", "-q", *WRITES, "tests/unit/apply", "tests/cli/test_gate.py")
E2E = ("-m", "pytest", "-x", "-q", "tests/cli/test_faults.py", "tests/cli/test_weakening.py",
       "tests/cli/test_base.py", "tests/cli/test_plan.py")  # fmt: skip
THREE_WAY = ("-m", "pytest", "-x", "-q", "tests/unit/plan/diff/test_three_way.py")
REST = ("-m", "pytest", "-x", "-q", "tests/harness/test_killed_gate_changes.py")
BEGUN = ("-m", "pytest", "-x", "-q", "tests/cli/test_partial_apply.py")
RULES = ("-m", "pytest", "-x", "-q", "tests/cli/test_rules.py",
         "tests/cli/test_rules_of_the_base.py")  # fmt: skip
GUARDS = ("-m", "pytest", "-x", "-q", "tests/cli/test_guardrails.py")
BASE = ("-m", "pytest", "-x", "-q", "tests/cli/test_base.py")
WEAKER = ("-m", "pytest", "-x", "-q", "tests/cli/test_weakening.py")
IDENTITY = ("-m", "pytest", "-x", "-q", "tests/cli/test_identity.py", "-k", "slug or looks")
PEOPLE = ("-m", "pytest", "-x", "-q", "tests/cli/test_partial_members.py")
FAULTS = ("-m", "pytest", "-x", "-q", "tests/cli/test_faults.py")
OWN = ("-m", "pytest", "-x", "-q", "tests/cli/test_own_approval_history.py",
       "tests/cli/test_own_approval.py")  # fmt: skip
KEPT = ("-m", "pytest", "-x", "-q", "tests/cli/test_not_kept.py")
ADMINS = ("-m", "pytest", "-x", "-q", "tests/cli/test_project_access.py", "-k", "rest or back")
GOVERNED = (
    "-m",
    "pytest",
    "-x",
    "-q",
    "tests/harness/test_governed.py",
    "-k",
    "people or spoiled_write",
)
REFUSED = ("-m", "pytest", "-x", "-q", "tests/cli/test_refusals.py")
VALUES = (
    "-m",
    "pytest",
    "-x",
    "-q",
    "tests/cli/test_values.py",
    "tests/integration/test_spellings.py",
)
PARTLY = ("-m", "pytest", "-x", "-q", "tests/integration/test_partial_writes.py")
AGREED = ("-m", "pytest", "-x", "-q", "tests/cli/test_refused_plans.py")
WAITING = ("-m", "pytest", "-x", "-q", "tests/cli/test_not_applied.py")
CONFIRMED = ("-m", "pytest", "-x", "-q", "tests/integration/test_confirmed_writes.py")
WIRE = ("-m", "pytest", "-x", "-q", "tests/unit/posthog")
NAMES = ("-m", "pytest", "-x", "-q", "tests/cli/test_dependencies.py")
USUAL = (SCHEDULES, APPLY, FAULTS, SINGLES)


@dataclass(frozen=True)
class Mutant:
    """One planted bug."""

    name: str
    file: str  # below reconciler/
    old: str
    new: str
    hunts: tuple = USUAL


def mutant(name, file, old, new, *hunts):
    return Mutant(name, file, old, new, (*hunts, *USUAL) if hunts else USUAL)


MUTANTS = [
    # what a run says of itself
    mutant("say nothing of what is live already", "apply/progress.py",
           "if result in {Result.DONE, Result.UNCHANGED} or change.action is Action.DELETE:",
           "if True:", PARTLY),
    mutant("let a plan that apply refuses end as a success", "plan/guardrails/apply_refusals.py",
           "        return ExitCode.REFUSED\n", "        return 0\n", AGREED),
    mutant("call what somebody added to a role our own work", "plan/diff/three_way.py",
           "return Cause.INTENT if live ^ desired <= base ^ desired else Cause.DRIFT",
           "return Cause.INTENT", WAITING),
    # the write protocol
    mutant("write without an intent in the journal", "apply/change_writer.py",
           'self._tools.journal.intend("write", **facts)', "pass", KILLS),
    mutant("believe any 200", "apply/change_writer.py",
           "dropped = readback.verify_response(self._kind, self._progress, write, request, body)",
           "dropped = frozenset()"),
    mutant("an answer that is silent on a field confirms it", "apply/readback.py",
           "if silent := [name for name in sent if name not in got]:", "if silent := []:", CONFIRMED),
    mutant("an answer about another object is about ours", "apply/readback.py",
           "if progress.id is not None and kind.identity(payload) != progress.id:", "if False:",
           CONFIRMED),
    mutant("a soft delete is believed by its status", "apply/readback.py",
           'if payload.get("deleted") is not True:', "if False:", CONFIRMED),
    mutant("a 404 to a delete means that it is gone", "apply/change_writer.py",
           "if payload is not None:\n            raise responses.end_refused(self._progress, error) from error\n        if self",
           "if False:\n            raise responses.end_refused(self._progress, error) from error\n        if self",
           CONFIRMED),
    mutant("an unknown conflict is a refusal", "posthog/responses.py",
           "return conflict if conflict or call.writes else errors.InvalidRequestError",
           "return conflict or errors.InvalidRequestError", WIRE, CONFIRMED),
    mutant("overwrite what has moved", "apply/change_writer.py",
           "if readback.has_changed(self._kind, self._progress, payload):", "if False:"),
    mutant("delete without looking first", "apply/change_writer.py",
           "if versioned and change.action is not Action.DELETE:", "if True:"),
    mutant("skip the compare-and-swap", "kinds/feature_flag.py",
           'body["version"] = live["version"]', "pass"),
    mutant("compare with nothing", "kinds/feature_flag.py",
           'body["original_flag"] = {name: live[name] for name in COMPARED if name in live}',
           'body["original_flag"] = dict(body)'),
    mutant("overwrite after a version conflict", "apply/change_writer.py",
           "self._progress = responses.replan_changed(self._tools, self._progress, payload)\n\n    def _create_in_parts",
           "self._progress = replace(self._progress, payload=payload)\n\n    def _create_in_parts"),
    mutant("a lost answer counts as done", "apply/recovery.py",
           "if _is_done(kind, write, payload):", "if True:"),
    mutant("a lost answer counts as not done", "apply/recovery.py",
           "if _is_done(kind, write, payload):", "if False:"),
    mutant("no look for a change request after a lost answer", "apply/recovery.py",
           "if kind.gates_write(write.action):", "if False:"),
    mutant("send again over somebody's change", "apply/recovery.py",
           "    if changed:\n        raise ChangeEnded(\n            Result.REFUSED,", "    if False:\n        raise ChangeEnded(\n            Result.REFUSED,"),
    mutant("send a rule again that somebody has undone", "apply/recovery.py",
           "        if undone:\n", "        if False:\n", GOVERNED),
    mutant("a rule that no file names is ours to remove", "kinds/project_access.py",
           "        if subject[0] in (spec.get(resource) or {})\n", "", GOVERNED),
    mutant("unknown is called done", "apply/recovery.py",
           "    whole = readback.is_object_call(kind, request, write)\n",
           "    if sent >= 1:\n        raise Done(payload)\n    whole = readback.is_object_call(kind, request, write)\n"),
    mutant("a create that meets its name is done", "apply/responses.py",
           "if named and not readback.list_differences(kind, whole, payload):", "if named:"),
    mutant("a refusal is a success", "apply/responses.py",
           "else ChangeEnded(Result.FAILED, to_problem(error))", "else ChangeEnded(Result.DONE)"),
    mutant("a 404 on an update is nothing", "apply/change_writer.py",
           "if self._progress.change.action is not Action.DELETE:", "if False:"),
    mutant("go on with a key that is refused", "apply/responses.py",
           "everywhere = (AuthenticationError, ThrottledError, JournalError)",
           "everywhere = (JournalError,)", LIVENESS),
    # flags that depend on flags
    mutant("dependents after what they depend on", "plan/ordering/flag_dependencies.py",
           "needs[other.change.address].add(move.change.address)", "pass", NAMES),
    mutant("dependencies in the order of their names", "plan/ordering/flag_dependencies.py",
           "needs[move.change.address].add(other.change.address)", "pass", NAMES),
    mutant("an ID has the name of its namesake", "live/names.py",
           "if name and count[name] < 2 and", "if name and", NAMES),
    # values as the server keeps them
    mutant("operators as they are spelled", "normal_form/filters.py",
           "OPERATORS.get(written, written)", "written", VALUES),
    mutant("tags in capitals", "normal_form/values.py", "value.strip().lower()", "value.strip()", VALUES),
    mutant("payloads compared as text", "normal_form/values.py",
           "return _respell_json(value) if isinstance(value, str)",
           "return value if isinstance(value, str)", VALUES),
    mutant("keys that the next save removes are sent", "normal_form/filters.py",
           "elif name != INDEX:\n        del normal[name]", "elif name != INDEX:\n        pass", VALUES),
    mutant("an inserted item changes all of them", "plan/diff/three_way.py",
           "undeclared=undeclared, lists=lists)",
           "undeclared=undeclared)", VALUES),
    # identities and people
    mutant("send a create that PostHog names otherwise", "plan/guardrails/new_names.py",
           "if server_name != address.name:", "if False:", IDENTITY),
    mutant("forget what PostHog has named otherwise", "apply/change_writer.py",
           "created_names.remember(folder, self._progress.change.address, created_name)", "pass", IDENTITY),
    mutant("create beside a name that looks the same", "plan/guardrails/new_names.py",
           "if kind.folds_case or simplify_name(other.name) == simplify_name(address.name):", "if False:", IDENTITY),
    mutant("a short list of members is all of them", "live/visibility.py",
           "if shown < count else", "if False else", PEOPLE),
    # gates and requests
    mutant("file again what was rejected", "apply/approval_requests.py",
           "        case Verdict.REJECTED:\n            raise ChangeEnded(",
           "        case Verdict.REJECTED:\n            return progress\n            raise ChangeEnded("),
    mutant("write beside a pending request", "apply/approval_requests.py",
           "raise end_waiting(tools, change, tools.replanner.get_request(gate.change_request))", "return progress"),
    mutant("somebody else's request is ours", "apply/approval_requests.py",
           "if not _is_about_object(progress, request):", "if False:"),
    mutant("any open request has our intent", "apply/approval_requests.py",
           "if pending and not tools.replanner.is_same_intent(request, change, progress.payload):", "if False:"),
    mutant("cancel what others have voted for or filed", "apply/approval_requests.py",
           "    if not own:\n", "    if False:\n"),
    mutant("wait for a request that does not exist", "apply/approval_requests.py",
           "        return ChangeEnded(Result.FAILED, _describe_rolled_back(error))",
           "        return ChangeEnded(Result.WAITING, change_request=id_)"),
    mutant("a gate that does not hold is no incident", "apply/change_writer.py",
           "if gate_check.was_missed(self._kind, before, write, payload):",
           "if False:"),
    mutant("go on after an incident", "apply/gate_check.py",
           "self.incident = change.address", "pass"),
    mutant("create gated flags side by side", "apply/gate_check.py",
           "return not any(need in self._busy for need in self._list_needs(change))", "return True"),
    mutant("a waiting change is a finished one", "apply/executor.py",
           "_STOPS_DEPENDANTS: Final = frozenset(_HOW)",
           "_STOPS_DEPENDANTS: Final = frozenset({Result.FAILED})"),
    mutant("dependants of what failed go ahead", "apply/executor.py",
           "if before is not None and before.result in _STOPS_DEPENDANTS:", "if False:", LIVENESS),
    mutant("an interrupt stops nothing", "apply/executor.py",
           "return self._options.stop is not None and self._options.stop.is_set()", "return False",
           ("-m", "pytest", "-x", "-q", "tests/cli/test_errors.py")),
    mutant("a broken journal stops nothing", "apply/journal.py",
           "        if self.broken is not None:\n            raise self.broken",
           "        if False:\n            raise self.broken",
           ("-m", "pytest", "-x", "-q", "tests/cli/test_stopping.py", "-k", "disk")),
    # who approved what
    mutant("dates alone say what a request was filed for", "operations/self_approval.py",
           "fits = bool(certain) and all(fact.is_in(spec) for fact in certain)", "fits = True", OWN),
    mutant("who moved a document wrote it", "config/lineage.py",
           "if holds(self.find_spec(parent_id))", "if parent_id in self._loaded", OWN),
    mutant("a change brings its own mailmap", "git/blame.py",
           "mailmap.blob={map_of}:.mailmap", "mailmap.blob=HEAD:.mailmap", OWN),
    # listings
    mutant("ignore next", "posthog/pagination.py",
           "for offset, page in zip(offsets, source.spread(read_page, requests), strict=True):",
           "for offset, page in ():", PAGES),
    mutant("trust count", "posthog/pagination.py",
           "if first is not None and first != len(ids):", "if False:", PAGES, WIRE),
    mutant("an item may come twice", "posthog/pagination.py",
           "if len(set(ids)) != len(ids):", "if False:", PAGES, WIRE),
    mutant("pages may move while they are read", "posthog/pagination.py",
           "if len(page.items) != end - offset or after != (end if end < count else None):",
           "if False:", PAGES, WIRE),
    mutant("a first page that counts too few is whole", "posthog/pagination.py",
           "    if not offsets:\n", "    if False:\n", PAGES),
    mutant("swallow a listing that was refused", "live/reader.py",
           "            self.unreadable.append(build_gap(*key, error))\n            return",
           "            self.payloads[key] = ()\n            return", SINGLES, LIVENESS),
    mutant("a row without a key is no row", "live/reader.py",
           "if mismatch := live_names.find_mismatch(kind, listing.items):", "if mismatch := '':", PAGES),
    mutant("a list without a count is whole", "posthog/pagination.py",
           "if type(count) is not int and (self._counted or count is not None):", "if False:", WIRE),
    mutant("a row of another project is ours", "posthog/pagination.py",
           "if isinstance(owner, str | int) and str(owner).lower() != self._id:", "if False:", WIRE),
    # the wire
    mutant("what follows an answer answers the next request", "posthog/transport.py",
           "if not has_extra(connection):", "if True:", WIRE),
    mutant("send a write again like a read", "posthog/retry.py",
           "    if call.writes:\n        return False", "    if False:\n        return False", WIRE, SINGLES),
    mutant("answer an overload at once", "posthog/retry.py",
           "self._rate_limiter.pause(wait)", "pass", WIRE),
    mutant("ignore the rate limit", "posthog/rate_limit.py",
           "return max(0.0, self._paused_until - now, *waits)", "return 0.0", WIRE),
    mutant("forget requests whose response has not arrived", "posthog/rate_limit.py",
           "return self.count(now) + in_flight - self.turns",
           "return self.count(now) - self.turns", WIRE),
    mutant("follow links to another host", "posthog/pagination.py",
           'if parts.netloc and (place != (own.hostname, own.port) or "@" in parts.netloc):',
           "if False:", WIRE),
    mutant("read through a writer's eyes", "posthog/transport.py",
           'methods: ClassVar[frozenset[str]] = frozenset({"GET"})',
           'methods: ClassVar[frozenset[str]] = frozenset({"GET", "POST", "PATCH", "DELETE"})', WIRE),
    # planning
    mutant("deletes without a limit",
        "plan/guardrails/deletes.py",
        "if not deleted or limits.confirmed == len(deleted):",
        "if True:",
        GUARDS,
    ),
    mutant("a rule that fails lets the change pass", "plan/rules/findings.py",
           "    if result is False:", "    if result is not True:", RULES),
    mutant("an endless expression lets the change pass", "operations/rules/process.py",
           "            return [str(ended)]", "            return [False]", RULES),
    mutant("an expression may take as long as it wants", "operations/rules/worker.py",
           "                limit_processor_time(LIMIT_S)", "                limit_processor_time(0)", RULES),
    mutant("a saved plan is not judged by rules", "cli/plan_source.py",
           "        return operations_plan.judge_by_rules(planned, world, given)",
           "        return planned, world", RULES),
    mutant("another base lifts a rule", "operations/rules/sources.py",
           "= [(commit, place), (automatic, place)]", "= [(commit, place)]", RULES),
    mutant("the rules of the base do not count", "operations/rules/sources.py",
           "            rules = list(_read_rules(settings, target, facts, tree))",
           "            rules = []", RULES),
    mutant("a renamed target has no rules at the base", "operations/rules/sources.py",
           "if target.name in then else then.values()", "if target.name in then else []", RULES),
    mutant("what is left after an approval is not judged", "operations/replan.py",
           "        if self._judge is None or now.action is Action.NONE:", "        if True:", RULES),
    mutant("--continue goes past a rule that nobody can judge", "plan/guardrails/checks.py",
           "    {ROLLBACK, rule_findings.INVALID}", "    {ROLLBACK}", RULES),
    mutant("protected things may go", "plan/guardrails/checks.py",
           "if why := _explain_protection(change, earlier):", "if why := '':", GUARDS, E2E),
    mutant("conflicts are nobody's business", "plan/guardrails/checks.py",
           "        elif paths:\n", "        elif False:\n", BASE, E2E),
    mutant("a policy names a role before it has its members", "plan/weakening/change_order.py",
           "        if move.leaves or move.change not in last:\n            yield policy, move.change\n",
           "        yield move.change, policy\n", REST),
    mutant("somebody is shut out of one way before the other is open", "plan/weakening/change_order.py",
           "            if gains not in last:\n", "            if False:\n", WEAKER),
    mutant("a list that two sides moved is a conflict", "plan/diff/three_way.py",
           "if format_path(path) in kind.sets and", "if False and", THREE_WAY),
    mutant("whatever lies between base and files was begun", "plan/weakening/partial_apply.py",
           "map(self._build_past_state, (self._started.base, *self._started.since))",
           "map(self._build_past_state, (self._started.base,))", BEGUN),
    mutant("whoever becomes a project admin was one before", "plan/weakening/partial_apply.py",
           "        return are_between and all(\n", "        return True or all(\n", ADMINS),
    mutant("a policy that the base does not declare is our own", "plan/weakening/partial_apply.py",
           "if address in self._managed and self._is_own(live_object):",
           "if address in self._managed:", BEGUN),
    mutant("weakening is fine", "plan/guardrails/checks.py",
           "yield from weakening.find_weakenings(changes, live, allowed=allowed, started=started)",
           "yield from ()", WEAKER, E2E),
    # what PostHog would refuse
    mutant("send what PostHog would refuse", "plan/planner.py",
           "*rejected_changes.find_rejected_changes(changes, live),", "", REFUSED),
    mutant("own filters are all that counts", "plan/guardrails/rejected_changes.py",
           "after = filters.merge_filters(before, written)", "after = dict(written)", REFUSED),
    mutant("anybody may be changed by anybody", "plan/guardrails/rejected_changes.py",
           "if present is not None and parse_level(present) > level:", "if False:", REFUSED),
    mutant("a dropped field is a kept one", "apply/change_writer.py",
           "dropped=now.dropped | dropped)", "dropped=now.dropped)", KEPT),
    mutant("any field may be dropped", "apply/readback.py",
           "for name in kind.droppable if now.get(name) == was.get(name))", "for name in now)", APPLY),
    mutant("whatever differs was dropped", "plan/diff/dropped_fields.py",
           "return is_own_write and all(", "return True or all(", KEPT),
]  # fmt: skip


def plant(tree, one):
    """The spoiled text in its place; the text that was there."""
    path = tree / "reconciler" / one.file
    text = path.read_text(encoding="utf-8")
    put(path, text.replace(one.old, one.new))
    return path, text


def put(path, text):
    """Write a module, and forget what was compiled of it: that is known by the second alone."""
    path.write_text(text, encoding="utf-8")
    Path(cache_from_source(str(path))).unlink(missing_ok=True)


def copy(into):
    """A tree of its own: what is imported from it is spoiled, what is tested is whole."""
    for name in ("reconciler", "tests", "schemas", "examples", "docs"):
        ignore = shutil.ignore_patterns("golden", "corpus")
        shutil.copytree(ROOT / name, into / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        shutil.copy(ROOT / name, into / name)
    script = into / "reconciler-script"
    code = f"import sys; sys.path.insert(0, {str(into)!r}); from reconciler.cli.main import main; main()"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return into


def hunt(tree, one):
    """(name of the hunt that found it or None, seconds)."""
    began = time.monotonic()
    path, text = plant(tree, one)
    environ = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "RECONCILER_TEST_SCRIPT": str(tree / "reconciler-script"),
    }
    try:
        for words in one.hunts:
            done = subprocess.run(
                [sys.executable, *words, *(HUNT if "pytest" in words else ())],
                cwd=tree,
                env=environ,
                capture_output=True,
                text=True,
                timeout=1200,
                check=False,
            )
            if done.returncode:
                name = words[1] if words[1] != "pytest" else Path(words[4]).name
                return name, time.monotonic() - began, done.stdout[-400:]
    except subprocess.TimeoutExpired:
        return "timeout", time.monotonic() - began, ""
    finally:
        put(path, text)
    return None, time.monotonic() - began, ""


def main(names):
    wanted = [one for one in MUTANTS if not names or one.name in names]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        trees = Queue()
        for number in range(WORKERS):
            trees.put(copy(Path(folder) / str(number)))

        def run(one):
            tree = trees.get()
            try:
                return one, *hunt(tree, one)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(WORKERS) as pool:
            for one, found, seconds, _ in pool.map(run, wanted):
                said = f"found by {found}" if found else "SURVIVED"
                print(f"{said:<36} {seconds:5.0f} s  {one.name}", flush=True)
                if found is None:
                    survivors.append(one.name)
    print(f"{len(wanted)} planted, {len(wanted) - len(survivors)} found")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
