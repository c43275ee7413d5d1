"""What every template works with. Whatever a template prints passes through `_sanitize`."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from reconciler.lazy_pattern import compile_later
from reconciler.render.html.facets import make_query
from reconciler.render.shared import sanitize
from reconciler.render.shared.findings import format_excerpt
from reconciler.render.shared.phrases import count

_PARTS: Final = compile_later(r"[./\[]?[^./\[]+|[./\[]")


@cache
def load_environment() -> Environment:
    """Return the templates beside this module, every value in them escaped."""
    environment = Environment(
        loader=PackageLoader("reconciler.render.html", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_sanitize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters.update(
        by_line=_join_lines,
        breakable=_allow_breaks,
        thousands=_format_number,
        excerpt=format_excerpt,
        counted=count,
    )
    environment.globals["query"] = make_query
    environment.tests["page_of"] = _is_page_of
    return environment


def render_part(template: str, printed: Mapping[str, object]) -> Markup:
    """Return what a template makes, for another template to print as it is."""
    text = load_environment().get_template(template).render(printed)
    return Markup(text)  # noqa: S704  the template has escaped its values


def _sanitize(value: object) -> object:
    """Return what is printed: markup of the templates as it is, anything else made visible."""
    return value if isinstance(value, Markup) else sanitize.escape(str(value))


def _join_lines(rows: Iterable[object]) -> Markup:
    """Return foreign lines, one below the other."""
    return Markup("\n").join(escape(_sanitize(row)) for row in rows)


def _allow_breaks(path: object) -> Markup:
    """Return a path or an address that a line may end in, before a dot, bracket or slash."""
    return Markup("<wbr>").join(escape(part) for part in _PARTS.findall(str(_sanitize(path))))


def _format_number(number: int) -> str:
    return f"{number:,}"


def _is_page_of(url: str | None, host: str) -> bool:
    """Return whether this is a page of the plan's own host: nothing else becomes a link."""
    return url is not None and sanitize.is_page_of(url, host)
