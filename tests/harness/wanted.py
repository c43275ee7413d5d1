"""What documents want, and what of it is there: plain values, without code of the program."""

SERVERS_OWN = {"updated_at", "version", "last_modified_by", "created_at"}
SETTINGS = {"feature_flag_policy": "feature_flag_policy_config"}  # where the API's name differs
DAYS = {"sunday": 0, "monday": 1}


def flag_of(state, project, key):
    """The flag of a key, if there is one."""
    web = next(p for p in state["organizations"][0]["projects"] if p["name"] == project)
    found = [f for f in web.get("feature_flags", ()) if f["key"] == key and not f.get("deleted")]
    return found[0] if found else None


def rollout(flag):
    """The percentage of the first group."""
    groups = (flag.get("filters") or {}).get("groups") or []
    return groups[0].get("rollout_percentage") if groups else None


def holds(state, document):
    """Whether the world is as a document says."""
    meta, spec = document["metadata"], document.get("spec") or {}
    (organization,) = state["organizations"]
    named = meta["name"] if document["kind"] == "Project" else meta.get("project")
    if named is None:
        return _holds_in_organization(organization, document["kind"], meta, spec)
    (project,) = (place for place in organization["projects"] if place["name"] == named)
    match document["kind"]:
        case "FeatureFlag":
            return _holds_flag(flag_of(state, named, meta["key"]), document, spec)
        case "ApprovalPolicy":
            return _holds_policy(project["approval_policies"], meta, spec)
        case "Project":
            return all(_holds_setting(project["settings"], n, v) for n, v in spec.items())
        case "ProjectAccess":
            return _holds_rules(project.get("access_controls", ()), spec)
        case "ExperimentHoldout":
            return _holds_holdout(project.get("experiment_holdouts", ()), document, spec)
    raise AssertionError(document["kind"])


def _holds_in_organization(organization, kind, meta, spec):
    match kind:
        case "Role":
            found = [r for r in organization["roles"] if r["name"] == meta["name"]]
            return len(found) == 1 and sorted(spec["members"]) == sorted(
                one["email"] if isinstance(one, dict) else one for one in found[0]["members"]
            )
        case "Member":
            found = [m for m in organization["members"] if m["email"] == meta["email"]]
            levels = {1: "member", 8: "admin", 15: "owner"}
            return bool(found) and levels.get(found[0]["level"], found[0]["level"]) == spec["level"]
        case "Organization":
            return _settings(organization).items() >= spec.items()
    raise AssertionError(kind)


def _settings(organization):
    """Return the settings of an organization, with its default role by name."""
    names = {role["id"]: role["name"] for role in organization["roles"]}
    settings = organization["settings"]
    return {**settings, "default_role": names.get(settings["default_role_id"])}


def _holds_flag(flag, document, spec):
    if is_absent(document) or flag is None:
        return is_absent(document) and flag is None
    plain = all(flag.get(n) == v for n, v in spec.items() if n in {"name", "active"})
    return plain and ("filters" not in spec or rollout(flag) == rollout(spec))


def _holds_policy(policies, meta, spec):
    found = [p for p in policies if p["action_key"] == meta["action"]]
    return len(found) == 1 and (
        found[0]["enabled"] == spec["enabled"]
        and found[0]["allow_self_approve"] == spec.get("allow_self_approve", False)
        and found[0]["approver_config"]["quorum"] == spec["approvers"]["quorum"]
        and sorted(found[0]["approver_config"]["users"]) == sorted(spec["approvers"]["users"])
    )


def _holds_holdout(holdouts, document, spec):
    found = [one for one in holdouts if one["name"] == document["metadata"]["name"]]
    if is_absent(document) or not found:
        return is_absent(document) and not found
    (one,) = found
    share = one["filters"][0]["rollout_percentage"]
    about = one.get("description") or ""
    return (share, about) == (spec["rollout_percentage"], spec.get("description", ""))


def is_absent(document):
    """Whether a document wants its object to be gone."""
    return (document["metadata"].get("lifecycle") or {}).get("state") == "absent"


def _holds_setting(stored, name, value):
    if isinstance(value, dict):
        shown = stored.get(SETTINGS[name]) or {}
        return all((shown.get(inner) or False) == part for inner, part in value.items())
    shown = stored.get(SETTINGS.get(name, name)) or False
    return shown == DAYS.get(value, value)


def _holds_rules(rows, spec):
    """Whether the rules are those of the files, in each part that is written."""
    for resource, parts in spec.items():
        there = [row for row in rows if row["resource"] == resource]
        for part, levels in (parts or {}).items():
            kind = {"roles": "role", "members": "member"}.get(part)
            if kind is None:
                general = [r for r in there if not {"role", "member"} & r.keys()]
                held, wanted = (
                    {r["resource"]: r["access_level"] for r in general},
                    {resource: levels},
                )
            else:
                held = {r[kind]: r["access_level"] for r in there if kind in r}
                wanted = levels or {}
            if held != {who: level for who, level in wanted.items() if level is not None}:
                return False
    return True


def address(document):
    """The address of a document, as reports have it."""
    meta = document["metadata"]
    parts = ["acme", meta.get("project")]
    parts.append(meta.get("key") or meta.get("action") or meta.get("name") or meta.get("email"))
    return "/".join([document["kind"], *(part for part in parts if part)])


def kind_of(row):
    """The kind of the object of a row."""
    return row["object"].split("/")[0]


def changed(row):
    """The fields that a row of the ledger changed."""
    before, after = _spread(row["before"] or {}), _spread(row["after"] or {})
    return {n for n in {*before, *after} - SERVERS_OWN if before.get(n) != after.get(n)}


def _spread(value):
    """The fields of an object; each setting and each access rule of a project by itself."""
    rest = {n: v for n, v in value.items() if n not in {"settings", "access_controls"}}
    rules = {
        (row["resource"], row.get("role"), row.get("member")): row["access_level"]
        for row in value.get("access_controls") or ()
    }
    settings = value.get("settings")
    return {**rest, **rules, **(settings if isinstance(settings, dict) else {})}


def is_about(line, document):  # noqa: PLR0911  a case a kind
    """Whether a row of the ledger changed the object of a document."""
    value = line["after"] or line["before"]
    meta = document["metadata"]
    project = {"Web": 1, "Mobile": 2}.get(meta.get("project"))
    match document["kind"], kind_of(line):
        case "FeatureFlag", "FeatureFlag":
            return value["project"] == project and value["key"] == meta["key"]
        case "ApprovalPolicy", "ApprovalPolicy":
            return value["project"] == project and value["action_key"] == meta["action"]
        case "Role", "Role":
            return value["name"] == meta["name"]
        case "Organization", "Organization":
            return True
        case "ExperimentHoldout", "ExperimentHoldout":
            return value["project"] == project and value["name"] == meta["name"]
        case ("Project" | "ProjectAccess") as declared, "Project":
            is_rule = any(isinstance(name, tuple) for name in changed(line))
            named = meta.get("project", meta.get("name")) == value["name"]
            return named and is_rule == (declared == "ProjectAccess")
    return False
