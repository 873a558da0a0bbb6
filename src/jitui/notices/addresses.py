"""Which mail addresses are written to. The library knows the grammar; what it says is checked once more for headers."""

from __future__ import annotations


def usable_address(text: object) -> str | None:
    """The address as it is written into an envelope, in ASCII; None for what is none.

    An address with a name before it, several addresses, control characters, comments and quoted parts are none. A local
    part that is not ASCII would need a mail server with SMTPUTF8, and is none either.
    """
    from email_validator import EmailNotValidError, validate_email

    if not isinstance(text, str) or len(text) > 254 or not text.isprintable():
        return None
    try:
        found = validate_email(text, check_deliverability=False, allow_smtputf8=False, allow_quoted_local=False)
    except EmailNotValidError:
        return None
    return found.ascii_email
