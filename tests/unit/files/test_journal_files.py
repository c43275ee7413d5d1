"""The newest journals of a target, by their names; those of older versions may be of any."""

from reconciler.files.journal_files import list_journals, name_journal


def test_the_newest_of_a_target_are_found_among_those_of_many(tmp_path):
    own = [name_journal(tmp_path, f"2026010{day}T000000.000000Z", "eu-prod") for day in range(5)]
    others = [name_journal(tmp_path, f"2027010{day}T000000.000000Z", "us") for day in range(5)]
    own[0].parent.mkdir(parents=True)
    for path in (*own, *others):
        path.touch()

    assert own[-3:] == list_journals(tmp_path, "eu-prod", 3)
    assert own == list_journals(tmp_path, "eu-prod", 50)
    assert [] == list_journals(tmp_path, "prod", 50)
    assert [] == list_journals(tmp_path / "nowhere", "eu-prod", 50)


def test_names_with_a_number_and_those_of_older_versions_count(tmp_path):
    """Two runs of one instant: the second one has the ID of its process."""
    folder = tmp_path / ".reconciler" / "runs"
    folder.mkdir(parents=True)
    stems = ["20250101T0Z-4711", "20250101T0Z", "20250102T0Z-a-4711", "20250103T0Z-b-a"]
    for stem in stems:
        (folder / f"{stem}.jsonl").touch()

    assert stems[:3] == [path.stem for path in list_journals(tmp_path, "a", 50)]
