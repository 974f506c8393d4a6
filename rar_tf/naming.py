"""Names, and what was probably meant."""

import difflib
from collections.abc import Iterable


def check_name(what: str, name: str, known: Iterable[str], where: str = "") -> None:
    """Raises ValueError unless `name` is one of `known`; the message suggests the nearest."""
    known = sorted(known)
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"{what} must be one of {', '.join(known)}{where}. Received: {what}={name!r}.{hint}"
    )
