"""The only page that a browser without a passcode gets; it needs no script and loads nothing."""

from __future__ import annotations

import base64
from functools import cache
from html import escape

from ued_core.assets import asset

ICON = asset("icon.png")
SECURE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1c2431, #e6e9f0); --soft: light-dark(#4d5666, #b3bac7);
  --line: light-dark(#767f8f, #7c8596); --accent: light-dark(#4a47c2, #9f9cff); --bad: light-dark(#a3140b, #ffb3ab); }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; color: var(--ink);
  background: light-dark(#f2f4f8, #11151d); font: 1rem/1.5 system-ui, sans-serif; }
main { width: min(26rem, 100%); padding: 2rem; border-radius: 0.75rem; background: light-dark(#ffffff, #1c222d);
  border: 1px solid light-dark(#d5dae3, #343c4a); }
header { display: flex; gap: 0.75rem; align-items: center; margin-bottom: 0.75rem; }
img { width: 2.25rem; height: 2.25rem; }
h1 { font-size: 1.4rem; margin: 0; }
p { margin: 0 0 1.25rem; color: var(--soft); }
label { display: block; font-weight: 600; margin-bottom: 0.25rem; }
input { width: 100%; font: inherit; padding: 0.55rem 0.7rem; margin-bottom: 0.25rem; border-radius: 0.5rem;
border: 1px solid var(--line);
  color: inherit; background: light-dark(#ffffff, #11151d); }
small { display: block; color: var(--soft); margin-bottom: 1.1rem; }
input:focus-visible, button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button { width: 100%; font: inherit; font-weight: 600; padding: 0.65rem; border: 0; border-radius: 0.5rem;
cursor: pointer;
  background: var(--accent); color: light-dark(#ffffff, #11151d); }
[role=alert] { color: var(--bad); font-weight: 600; margin-bottom: 1rem; }
"""


def sign_in_page(*, action: str, where: str, name: str = "", problem: str = "") -> str:
    """The page as HTML.

    Args:
        action: where the form goes.
        where: the address to open afterwards.
        name: of a visitor who comes back.
        problem: what was wrong with the last try.
    """
    alert = f'<p role="alert" id="problem">{escape(problem)}</p>' if problem else ""
    wrong = ' aria-invalid="true" aria-describedby="problem"' if problem else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · UED Studio</title><link rel="icon" href="{_icon()}"><style>{STYLE}</style></head>
<body><main><header><img src="{_icon()}" alt=""><h1>UED Studio</h1></header>
<p>This server is open to those who have its passcode.</p>{alert}
<form method="post" action="{escape(action)}"><input type="hidden" name="where" value="{escape(where)}">
<label for="code">Passcode</label>
<input id="code" name="code" type="password" required autofocus autocomplete="current-password" maxlength="200"{wrong}>
<small>Whoever runs this server has it.</small>
<label for="name">Your name</label>
<input id="name" name="name" type="text" maxlength="40" autocomplete="nickname" value="{escape(name)}">
<small>Others see it beside your runs. This browser remembers it.</small>
<button type="submit">Come in</button></form></main></body></html>
"""


@cache
def _icon() -> str:
    return "data:image/png;base64," + base64.b64encode(ICON.read_bytes()).decode()
