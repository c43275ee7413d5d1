"""Edit the text of one file by document: replace, add or remove one, and keep the others."""

from collections.abc import Callable
from dataclasses import field, replace
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later

MODELINE: Final = "# yaml-language-server: $schema="
_MARKER: Final = compile_later(r"^---(?=\s|$)")
_NEW_LINE: Final = compile_later(r"(?<=\n)|(?<=\r)(?!\n)")


@dataclass(slots=True)
class _Piece:
    """Lines up to the next `---`; `marker` is the line that starts them."""

    marker: str
    body: str
    line: int  # of the body's first line
    key: object = None  # sort key, which places new documents


@dataclass(slots=True)
class FileText:
    """An existing file or a new one."""

    head: str = ""  # the first line of a new file
    pieces: list[_Piece] = field(default_factory=list)
    original: str | None = None  # None: a new file
    new_line: str = "\n"
    byte_order_mark: str = ""

    @classmethod
    def parse(cls, text: str) -> "FileText":
        """Cut the text of a file."""
        file = cls(original=text)
        if text.startswith("\ufeff"):
            file.byte_order_mark, text = text[0], text[1:]
        file.new_line = "\r\n" if "\r\n" in text else "\n"
        marker, first = "", 1
        lines: list[str] = []
        for number, line in enumerate(filter(None, _NEW_LINE.split(text)), 1):
            if _MARKER.match(line):
                file.pieces.append(_Piece(marker, "".join(lines), first))
                marker, lines, first = line, [], number + 1
            else:
                lines.append(line)
        file.pieces.append(_Piece(marker, "".join(lines), first))
        return file

    @property
    def text(self) -> str:
        """Return the text of the whole file."""
        if self.original is None:
            return self.head + "---\n".join(piece.body for piece in self.pieces)
        return self.byte_order_mark + "".join(piece.marker + piece.body for piece in self.pieces)

    def set_key(self, line: int, key: object) -> None:
        """Set the sort key of the document that starts on a line."""
        self._find_piece(line).key = key

    def replace_document(self, line: int, function: Callable[[str], str]) -> None:
        """Replace the text of the document that starts on a line."""
        piece = self._find_piece(line)
        inline = piece.marker.strip()[3:].strip()
        if inline and not inline.startswith("#"):
            piece.marker, piece.body = "", function(piece.marker + piece.body)
            return
        body = piece.body.replace("\r\n", "\n") if self.new_line != "\n" else piece.body
        rewritten = function(body)
        piece.body = rewritten.replace("\n", self.new_line) if self.new_line != "\n" else rewritten

    def copy_document(self, line: int) -> str:
        """Return the text of the document that starts on a line, with the comments around it."""
        piece = self._find_piece(line)
        inline = piece.marker.strip()[3:].strip()
        text = (f"{inline}\n" if inline else "") + piece.body
        return text.replace("\r\n", "\n") if self.new_line != "\n" else text

    def remove_document(self, line: int) -> None:
        """Remove the document that starts on a line; the line for editors stays."""
        piece = self._find_piece(line)
        at = self.pieces.index(piece)
        if at == 0 and self._is_headed():
            piece.body = piece.body.split(self.new_line, 1)[0] + self.new_line
            if len(self.pieces) > 1:  # that line now starts the next document
                self.pieces[1].marker = ""
            return
        del self.pieces[at]
        if at == 0 and self.pieces and self.pieces[0].marker.strip() == "---":
            self.pieces[0].marker = ""  # the file did not begin with `---`

    def copy_text(self) -> "FileText":
        """Return a copy that later edits do not change."""
        return replace(self, pieces=[replace(piece) for piece in self.pieces])

    @property
    def has_content(self) -> bool:
        """Return whether there is anything except comments."""
        lines = (line.strip() for piece in self.pieces for line in piece.body.splitlines())
        inline = any(piece.marker.strip()[3:].strip() for piece in self.pieces)
        return inline or any(line and not line.startswith("#") for line in lines)

    def add_document(self, document: str, key: tuple[str, ...]) -> None:
        """Insert a new document in sort order if the file is sorted, else add it at the end."""
        body = document.replace("\n", self.new_line)
        if self.original is None:
            self.pieces.append(_Piece("", body, 0, key))
            return
        keys = [piece.key for piece in self.pieces if piece.key is not None]
        is_sorted = all(isinstance(existing, tuple) for existing in keys) and keys == sorted(keys)  # type: ignore[type-var]  # None is left out above
        at = len(self.pieces)
        for index, piece in enumerate(self.pieces):
            if is_sorted and isinstance(piece.key, tuple) and piece.key > key:
                at = index
                break
        if at == 0 and (at := 0 if self._is_headed() else 1) == 0:
            first = self.pieces[0]
            head, first.body = first.body.split(self.new_line, 1)
            first.marker = f"---{self.new_line}"
            self.pieces.insert(0, _Piece("", head + self.new_line + body, 0, key))
            return
        last = self.pieces[at - 1]
        if not last.body.endswith(("\n", "\r")) and last.body:
            last.body += self.new_line
        self.pieces.insert(at, _Piece(f"---{self.new_line}", body, 0, key))

    def _is_headed(self) -> bool:
        """Return whether the file starts with the line for editors, which has to stay first."""
        return not self.pieces[0].marker and self.pieces[0].body.startswith(MODELINE)

    def _find_piece(self, line: int) -> _Piece:
        """Return the piece with the document that starts on a line."""
        known = [piece for piece in self.pieces if piece.line and piece.line <= line + 1]
        inline = [p for p in known if p.line == line + 1 and p.marker.strip() != "---"]
        return inline[0] if inline else [p for p in known if p.line <= line][-1]
