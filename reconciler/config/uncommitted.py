"""Compare the files that were read with a commit, without git's index, filters or monitors.

git itself would run the filters of `.gitattributes`; here the contents are compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from reconciler.errors import GitError
from reconciler.files.text import RefusedError, compute_blob_id
from reconciler.files.working_tree import read_file_inside
from reconciler.git import process
from reconciler.git.commit_tree import LINK, CommitTree, TreeObject
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Finding, Severity, shorten_commit

DIRTY_TREE: Final = "dirty-tree"  # code of the finding
_SHOWN: Final = 5
_SHA1, _SHA256 = 40, "sha256"  # digits of a SHA-1 object id, and the name of the other algorithm


@dataclass(frozen=True, slots=True)
class Differences:
    """Files that differ between the working tree and a commit, by their names in messages."""

    commit: str
    files: tuple[str, ...] = ()  # changed, new, or deleted
    gaps: tuple[str, ...] = ()  # submodules that are not checked out

    def make_findings(self) -> Iterator[Finding]:
        """Yield the findings for a plan of these files."""
        if self.files:
            listed = ", ".join(self.files[:_SHOWN])
            hidden = len(self.files) - _SHOWN
            more = f" and {hidden:,} more" if hidden > 0 else ""
            differ = "file differs" if len(self.files) == 1 else "files differ"
            yield Finding(
                DIRTY_TREE,
                Severity.NOTICE,
                f"{len(self.files):,} {differ} from commit {shorten_commit(self.commit)}: "
                f"{listed}{more}",
                why="the files are read as they are in the working tree, not as in the commit",
                fix="commit them: apply records what it applied only for committed files",
            )
        for gap in self.gaps:
            yield Finding(
                "submodule-missing",
                Severity.WARNING,
                f"{gap} is a submodule that is not checked out: what it declares is not known",
                why="its resources are neither compared nor deleted",
                fix="git submodule update --init; `submodules: true` in actions/checkout",
            )


def compare_to_commit(
    read_blobs: Mapping[str, str],
    paths: Sequence[Path],
    overlays: Sequence[Path],
    head: CommitTree,
    settings: Path | None = None,
    *,
    settings_blob: str = "",
) -> Differences:
    """Compare what was read from the working tree with a commit.

    Args:
        read_blobs: git's object id of each file that was read.
        paths: of the target.
        overlays: the same.
        head: the commit.
        settings: `reconciler.yaml`, if there is one.
        settings_blob: git's ID of its content; "" if it was not read.

    Raises GitError if a sparse checkout leaves files out: they would look deleted.

    """
    blobs = dict(read_blobs)
    committed: dict[str, TreeObject] = {}
    gaps: list[str] = []
    try:
        for path in (*paths, *overlays):
            committed |= head.list_blobs(path, [overlay for overlay in overlays if overlay != path])
            gaps.extend(head.find_missing_submodules(path))
        if settings is not None:
            committed |= head.list_blobs(settings)
            blobs[head.show_path(settings)] = settings_blob
    except RefusedError as problem:  # outside the repository: in no commit of it
        return Differences(head.commit, (problem.finding.message,))
    links = tuple(f"{name}/" for name, blob in committed.items() if blob.mode == LINK)
    changed = [
        name
        for name, blob in blobs.items()
        if not name.startswith(links)
        and (name not in committed or not _is_same_content(name, blob, committed[name], head.cwd))
    ]
    deleted = [name for name, blob in committed.items() if blob.mode != LINK and name not in blobs]
    if deleted:
        _check_sparse_checkout({committed[name].path: name for name in deleted}, head.root)
    return Differences(head.commit, tuple(sorted({*changed, *deleted})), tuple(dict.fromkeys(gaps)))


def _is_same_content(name: str, blob: str, committed: TreeObject, cwd: Path) -> bool:
    """Return whether a file equals that of a commit, except for line ends: git converts them."""
    if committed.mode == LINK or blob == committed.oid:  # a commit does not contain a link's target
        return True
    try:
        data = read_file_inside(cwd / name, name)
    except RefusedError:
        return False
    algorithm = "sha1" if len(committed.oid) == _SHA1 else _SHA256
    forms = {data, data.replace(b"\r\n", b"\n")}
    return committed.oid in {compute_blob_id(form, algorithm) for form in forms}


def _check_sparse_checkout(deleted: Mapping[str, str], root: Path) -> None:
    """Raise GitError if a sparse checkout leaves files out: they were not deleted."""
    output = process.read_output(["ls-files", "-t", "-z", "--", *deleted], root)
    rows = (row.partition(b" ") for row in output.split(b"\0") if row)
    hidden = [
        deleted.get(path.decode("utf-8", "replace"), "") for tag, _, path in rows if tag == b"S"
    ]
    if hidden:
        raise GitError(
            f"a sparse checkout leaves {hidden[0]} out",
            why="its documents would look as if they had been removed from the files",
            fix="git sparse-checkout disable, or add its folder",
        )
