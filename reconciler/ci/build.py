"""A build of a CI provider as a value, and what each provider offers for reporting its result."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import ClassVar, Final

from reconciler.errors import ReconcilerError
from reconciler.lazy_dataclass import dataclass

_NO_COMMIT: Final = "0"  # repeated: what providers write for "there was no commit before"


@dataclass(frozen=True, slots=True)
class Push:
    """The push that started a build: the commit before it, and whether it rewrote history."""

    commit: str
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class OutputFile:
    """Text for a file that the provider reads; `appends` where other steps write to it, too."""

    path: Path
    text: str
    appends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Build(ABC):
    """Facts about the build that is running. An empty value means that the provider did not say.

    Attributes:
        run_url: the page of the run.
        commit: the commit that is built.
        branch: the branch that is built, if it is neither a pull request nor a tag.
        is_tag: whether a tag is built.
        base_ref: the branch that the pull request goes to.
        base_commit: where the pull request parted from that branch.
        pushed_from: the commit before the push that started the build.
        pull_request: the number of the pull request.
        is_public: whether everybody can read what the build prints.
        folder: where files of this build go that nobody commits.
        prints_findings: whether the provider reads findings from what the command prints.
        findings_file: the file in which the provider reads findings.
        summary_file: the file to which a Markdown summary of the job is appended.

    """

    provider: ClassVar[str]  # the name of its modules in `ci` and in `render`
    token_variable: ClassVar[str]
    comment_name: ClassVar[str] = "comment"
    max_summary_bytes: ClassVar[int] = 0

    run_url: str = ""
    commit: str = ""
    branch: str | None = None
    is_tag: bool = False
    base_ref: str | None = None
    base_commit: str | None = None
    pushed_from: Push | None = None
    pull_request: int | None = None
    is_public: bool = False
    folder: str = "."
    prints_findings: bool = False
    findings_file: Path | None = None
    summary_file: Path | None = None
    secret: str = field(default="", repr=False)  # use `token()`

    def token(self) -> str:
        """Return the token of the code host; raise ReconcilerError if the build has none."""
        if self.secret:
            return self.secret
        raise ReconcilerError(
            f"{self.token_variable} is not set",
            why="a comment is written with a token of the code host",
            state="the result is final; it was not reported there",
            fix=f"pass the build's token to the step as {self.token_variable}",
        )

    @abstractmethod
    def format_outputs(self, outputs: Mapping[str, str]) -> OutputFile | None:
        """Return the outputs of the step for the file from which later steps read them."""

    @abstractmethod
    def put_comment(self, mark: str, body: str) -> str | None:
        """Make the comment with this marker say `body`; return created, updated or kept.

        Return None outside of a pull request. Raises ReconcilerError.
        """

    @abstractmethod
    def put_issue(self, mark: str, title: str, body: str) -> str:
        """Make the open issue with this marker say `body`; return opened, updated or kept.

        Raises ReconcilerError.
        """

    @abstractmethod
    def close_issue(self, mark: str, why: str) -> str:
        """Close the open issue with this marker; return closed or none. Raises ReconcilerError."""


def read_push(commit: str | None, *, is_forced: bool = False) -> Push | None:
    """Return the push that left `commit`; None for the zeros of a branch's first push."""
    return Push(commit, is_forced) if commit and commit.strip(_NO_COMMIT) else None
