"""The documentation site: `make site` builds it with Sphinx from the pages of this directory.

The pages are written for GitHub. Two things are added for the site: the menu, in the order of the
table in `index.md`, and links to files outside of this directory, which lead to the repository.
"""

import re

from sphinx.application import Sphinx

project = "reconciler"
extensions = ["myst_parser", "sphinx_copybutton", "sphinxcontrib.mermaid"]
root_doc = "index"
html_theme = "furo"
html_title = "reconciler"
html_copy_source = False
html_show_copyright = False
man_pages = [("reference", "reconciler", "GitOps for PostHog", [], 1)]
copybutton_prompt_text = "$ "
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]  # the options of the manual page
myst_fence_as_directive = ["mermaid"]
suppress_warnings = ["misc.highlighting_failure"]  # blocks with a request and its answer

REPOSITORY = "https://github.com/OWNER/reconciler/blob/main/"


def adapt_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Add the menu, and lead links out of `docs/` to the repository; in the manual list options."""
    text = source[0].replace("](../", f"]({REPOSITORY}")
    if page == root_doc:
        names = dict.fromkeys(re.findall(r"\]\((\w[\w-]*)\.md", text))
        text += "\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"
    if app.builder.name == "man":
        text = re.sub(r"^\| (option|---) .*\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"^\| (`.*?`) \| (.*) \|$", r"\1\n: \2\n", text, flags=re.MULTILINE)
        text = text.replace(r"\|", "|")
    source[0] = text


def setup(app: Sphinx) -> None:
    """Register the changes of this site."""
    app.connect("source-read", adapt_page)
