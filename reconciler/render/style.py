"""The style sheet of the HTML page: light and dark, no images, no fonts to load."""

from typing import Final

CSS: Final = """
:root {
  color-scheme: light dark;
  --ink: #1f2328; --soft: #59636e; --paper: #ffffff; --card: #f6f8fa; --line: #d1d9e0;
  --green: #1a7f37; --yellow: #9a6700; --red: #cf222e; --blue: #0969da; --loud: #fff8c5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6edf3; --soft: #9198a1; --paper: #0d1117; --card: #151b23; --line: #3d444d;
    --green: #3fb950; --yellow: #d29922; --red: #f85149; --blue: #58a6ff; --loud: #3a2f0b;
  }
}
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.meta, .place { color: var(--soft); font-size: .875rem; }
.meta { margin: .25rem 0 1rem; }
.total { font-size: 1.1rem; font-weight: 600; }
.numbers { display: flex; flex-wrap: wrap; gap: .75rem; list-style: none; padding: 0; }
.numbers li { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .5rem 1rem; min-width: 5rem; }
.numbers b { display: block; font-size: 1.5rem; line-height: 1.2; }
.zero { opacity: .5; }
.box { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .5rem 1rem; margin: .5rem 0; }
.loud, .stop { border-left: 6px solid var(--yellow); background: var(--loud); }
.stop { border-left-color: var(--red); }
.wait { border-left: 6px solid var(--blue); }
.box p { margin: .25rem 0; }
details { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; }
details > div { padding: 0 1rem 1rem; }
summary { cursor: pointer; padding: .5rem 1rem; font-weight: 600; }
summary:focus-visible { outline: 2px solid var(--blue); }
.sign { display: inline-block; width: 1.25rem; font-family: ui-monospace, monospace; }
.create .sign, .add, ins { color: var(--green); }
.update .sign { color: var(--yellow); }
.delete .sign, .cut, del { color: var(--red); }
ins, del { text-decoration: none; }
.badge { border: 1px solid currentColor; border-radius: 1rem; padding: 0 .6rem; margin-left: .5rem;
  font-size: .8rem; font-weight: 400; color: var(--blue); }
.badge.loud, .badge.stop { color: var(--red); background: none; border-width: 1px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
  border-top: 1px solid var(--line); }
th { color: var(--soft); font-weight: 400; border-top: 0; }
td, pre, code { font-family: ui-monospace, SFMono-Regular, Menlo, monospace; font-size: .85rem; }
pre { margin: 0; white-space: pre-wrap; }
.drift { color: var(--yellow); }
.conflict { color: var(--red); font-weight: 700; }
footer { margin-top: 2rem; color: var(--soft); font-size: .875rem; }
"""
