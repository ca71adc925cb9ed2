"""The pages that Caddy itself answers with: small, the same for everybody, with nothing of a tenant's in them.

Caddy reads braces as placeholders, so there are none: colours come from `color-scheme`, style from attributes.
"""

from __future__ import annotations

PAGE = (
    "<!doctype html>"
    '<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'
    "<title>{title}</title></head>"
    '<body style="margin: 0; min-height: 100vh; display: grid; place-items: center; '
    'font: 1rem/1.5 system-ui, sans-serif; text-align: center">'
    '<main style="padding: 1.5rem; max-width: 30rem"><p style="margin: 0; opacity: 0.7">{status}</p>'
    '<h1 style="margin: 0.25rem 0; font-size: 1.5rem; font-weight: 600">{title}</h1>'
    '<p style="margin: 0">{text}</p></main></body></html>\n'
)

# By status; the last one is for any other.
TEXTS = {
    404: ("There is no app here", "Check the address for a typing error."),
    413: ("That is too large", "Send less at once."),
    502: ("This app does not answer", "It may be starting or have crashed. Try again in a moment."),
    503: ("This app is not running", "Its owner can start it."),
    504: ("This app takes too long", "It did not answer in time. Try again in a moment."),
    500: ("Something went wrong", "Try again in a moment."),
}


def page(status: int) -> str:
    title, text = TEXTS[status]
    return PAGE.format(status=status, title=title, text=text)
