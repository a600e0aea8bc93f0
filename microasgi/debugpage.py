"""The debug page: an unhandled exception, or a path without a route, for the developer who looks at it in a browser.

The law of this file: everything that comes from elsewhere is escaped, and the page loads nothing. It is made only where
`debug=True` has been asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from secrets import token_urlsafe
from typing import Any, Final

from microasgi.debugroutes import missing_page
from microasgi.exceptions import ClientDisconnect, HTTPException
from microasgi.headers import find_header
from microasgi.masks import MASK, looks_secret, mask, mask_url
from microasgi.requests import Request
from microasgi.responses import HTMLResponse, PlainTextResponse, Response
from microasgi.tracebacks import Frame, Line, Problem, as_text, explain, short_path, show_value

__all__ = ["debug_page"]

_is_refusal = re.compile(r"q=0(\.0*)?").fullmatch

_STYLE: Final = """
:root{color-scheme:light dark;--text:#1f2328;--dim:#656d76;--page:#f6f7f9;--card:#fff;--line:#d8dee4;--bad:#b42318;
--fail:#fdecea;--mark:#f7b5ae;--link:#0b57d0}
@media(prefers-color-scheme:dark){:root{--text:#e6e8eb;--dim:#9aa4af;--page:#14171b;--card:#1c2026;--line:#333a43;
--bad:#ff8f85;--fail:#40221f;--mark:#8a3b34;--link:#8ab4f8}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1.5rem 4rem;max-width:74rem;background:var(--page);color:var(--text);
font:15px/1.55 system-ui,sans-serif}
code,pre,textarea,td{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
font-size:.87em}
header{border-left:4px solid var(--bad);padding:.1rem 0 .1rem 1.1rem;margin-bottom:1.5rem}
header p{margin:.2rem 0;overflow-wrap:anywhere}
.kind{color:var(--bad);font-weight:600;font-size:1.05rem}
h1{font-size:1.5rem;line-height:1.35;margin:.1rem 0 .5rem;white-space:pre-wrap;overflow-wrap:anywhere;max-height:18rem;
overflow:auto}
h2{font-size:1.05rem;margin:2rem 0 .6rem}
a{color:var(--link)}
section{margin:0 0 1.5rem}
section.inner{margin-left:1.5rem;border-left:2px solid var(--line);padding-left:1rem}
.dim,.relation{color:var(--dim)}
.relation{margin:2rem 0 .2rem;text-transform:uppercase;letter-spacing:.05em;font-size:.8rem}
.message{margin:0 0 .8rem;white-space:pre-wrap;overflow-wrap:anywhere;max-height:18rem;overflow:auto}
details{background:var(--card);border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0}
summary{cursor:pointer;padding:.5rem .9rem;overflow-wrap:anywhere}
summary:hover{background:color-mix(in srgb,var(--line) 35%,transparent)}
details details{margin:.5rem .9rem .9rem}
.folded>summary{color:var(--dim)}
pre{margin:0;overflow-x:auto;border-top:1px solid var(--line);padding:.5rem 0;line-height:1.6}
pre span{display:block;padding:0 .9rem;white-space:pre;width:max-content;min-width:100%}
pre i{display:inline-block;width:2.8rem;color:var(--dim);font-style:normal;user-select:none}
pre .fail{background:var(--fail);box-shadow:inset 3px 0 var(--bad)}
mark{background:var(--mark);color:inherit;border-radius:.2rem}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.5rem}
details .scroll{border:0;border-top:1px solid var(--line);border-radius:0 0 .5rem .5rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .9rem;border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}
th{font-size:.85rem;color:var(--dim);font-weight:600}
.values td{overflow-wrap:anywhere}
.values td:first-child{color:var(--dim);width:14rem;max-width:22rem}
td code{font-size:1em}
.method{white-space:nowrap}
textarea{display:block;width:100%;height:22rem;border:0;border-top:1px solid var(--line);padding:.9rem;background:none;
color:inherit;resize:vertical;white-space:pre}
button{font:inherit;padding:.35rem .9rem;border:1px solid var(--line);border-radius:.5rem;background:var(--card);
color:inherit;cursor:pointer}
footer{margin-top:2.5rem;color:var(--dim);font-size:.87rem}
"""

_SCRIPT: Final = """
const button = document.getElementById("copy"), text = document.getElementById("text");
button.hidden = false;
button.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(text.value);
  } catch {
    text.closest("details").open = true;
    text.select();
    document.execCommand("copy");
  }
  button.textContent = "Copied";
});
"""


def debug_page(request: Request[Any], error: Exception) -> Response | None:
    """Return the page for an error, plain text for who reads no HTML, or None where the usual answer will do."""
    wants_page = _takes_html(find_header(request.scope["headers"], b"accept") or b"")
    if isinstance(error, ClientDisconnect):
        return None
    if isinstance(error, HTTPException):
        if error.status_code not in {404, 405} or not wants_page:
            return None
        return _document(request, *missing_page(request.scope, error), "", error)
    if not wants_page:
        return PlainTextResponse(_bytes(as_text(error)), 500)
    problems = explain(error)
    first = problems[0]
    body = _heading(request, first) + "".join(map(_problem, problems)) + _request(request) + _copy(request, error)
    return _document(request, f"{first.kind}: {first.message:.200}", body, _SCRIPT)


def _takes_html(accept: bytes) -> bool:
    """Tell whether HTML is asked for by name, and not with `;q=0`, which refuses it (RFC 9110 section 12.4.2)."""
    for part in accept.decode("latin-1").lower().split(","):
        media, *parameters = "".join(part.split()).split(";")
        if media == "text/html" and not any(map(_is_refusal, parameters)):
            return True
    return False


def _document(
    request: Request[Any], title: str, body: str, script: str, error: HTTPException | None = None
) -> HTMLResponse:
    nonce = request.scope.get("microasgi.csp_nonce") or token_urlsafe(16)
    attribute = f'nonce="{escape(nonce)}"'
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style {attribute}>{_STYLE}</style></head><body>'
        f"{body}<footer>You see this page because the application was made with <code>debug=True</code>. Turn it off "
        "where strangers come by.</footer>"
        f"{script and f'<script {attribute}>{script}</script>'}</body></html>"
    )
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src data:"
    given = (error and error.headers) or {}
    headers = {
        **{name: value for name, value in given.items() if not name.lower().startswith("content-")},
        "cache-control": "no-store",
        "content-security-policy": f"{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
    }
    return HTMLResponse(_bytes(page), error.status_code if error else 500, headers)


def _bytes(text: str) -> bytes:
    return text.encode(errors="backslashreplace")  # lone surrogates


def _heading(request: Request[Any], problem: Problem) -> str:
    return (
        f'<header><p class="kind">{escape(problem.kind)}</p><h1>{escape(problem.message)}</h1>'
        f"<p><b>{escape(request.method)}</b> <code>{escape(mask_url(str(request.url)))}</code></p></header>"
    )


def _problem(problem: Problem) -> str:
    parts = [f'<section class="{"inner" if problem.depth else ""}">']
    if problem.relation:
        parts.append(
            f'<p class="relation">{escape(problem.relation)}</p><p class="message"><b class="kind">'
            f"{escape(problem.kind)}</b> {escape(problem.message)}</p>"
        )
    parts += [f'<p class="message">{escape(note)}</p>' for note in problem.notes]
    if problem.left_out:
        parts.append(f'<p class="dim">{problem.left_out} calls in the middle are left out.</p>')
    has_own = any(frame.is_own for frame in problem.frames)
    folded: list[Frame] = []
    for frame in problem.frames:
        if not (frame.is_own if has_own else frame is problem.frames[-1]):
            folded.append(frame)
            continue
        parts += [_folded(folded), _frame(frame, is_open=True)]
        folded = []
    parts.append(_folded(folded))
    return "".join([*parts, "</section>"])


def _folded(frames: list[Frame]) -> str:
    """Return the calls in other people's code as one line to be opened."""
    if len(frames) < 2:
        return "".join(_frame(frame, is_open=False) for frame in frames)
    packages = ", ".join(dict.fromkeys(frame.package for frame in frames))
    inside = "".join(_frame(frame, is_open=False) for frame in frames)
    return f'<details class="folded"><summary>{len(frames)} calls in {escape(packages)}</summary>{inside}</details>'


def _frame(frame: Frame, *, is_open: bool) -> str:
    summary = (
        f"<b>{escape(frame.function)}</b> "
        f'<code title="{escape(frame.filename)}">{escape(short_path(frame.filename))}:{frame.lineno}</code>'
    )
    source = "".join(map(_line, frame.lines)) or '<span class="dim">There is no source to be shown.</span>'
    variables = ""
    if frame.variables:
        variables = f"<details><summary>Variables</summary>{_values(frame.variables)}</details>"
    attributes = "open" if is_open else 'class="folded"'
    return f"<details {attributes}><summary>{summary}</summary><pre>{source}</pre>{variables}</details>"


def _line(line: Line) -> str:
    text = escape(line.text)
    if line.mark is not None:
        start, end = line.mark
        text = f"{escape(line.text[:start])}<mark>{escape(line.text[start:end])}</mark>{escape(line.text[end:])}"
    attribute = ' class="fail"' if line.is_failing else ""
    return f"<span{attribute}><i>{line.number}</i>{text}</span>"


def _values(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td><code>{escape(value)}</code></td></tr>" for name, value in pairs)
    return f'<div class="scroll"><table class="values">{rows}</table></div>'


def _request(request: Request[Any]) -> str:
    scope = request.scope
    headers = [
        (name.decode("latin-1"), MASK if looks_secret(name) else _header(value)) for name, value in scope["headers"]
    ]
    about = [
        ("route", repr(scope["route"]) if scope.get("route") else "none was found"),
        ("client", f"{request.client.host}:{request.client.port}" if request.client else "not known"),
        *((f"{{{name}}}", show_value(value, name)) for name, value in request.path_params.items()),
    ]
    return f"<h2>The request</h2>{_values(about)}<h2>Its headers</h2>{_values(headers)}"


def _header(value: bytes) -> str:
    return mask_url(mask(value.decode("latin-1")))  # `referer`, and whatever proxies add


def _copy(request: Request[Any], error: Exception) -> str:
    text = escape(f"{request.method} {mask_url(str(request.url))}\n\n{as_text(error)}")
    return (
        '<h2>As text</h2><button id="copy" hidden>Copy</button><details><summary>The traceback, as Python prints it'
        f'</summary><textarea id="text" readonly spellcheck="false">{text}</textarea></details>'
    )
