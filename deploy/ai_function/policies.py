"""The statements of policies.txt, filled in."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

FILE = Path(__file__).parent.parent / "policies.txt"

_PLACEHOLDER = re.compile(r"\$\{([a-z_]+)\}")
# A value that could end the quoted text or the word it stands in could say anything.
_HARMLESS = re.compile(r"[A-Za-z0-9._/-]+")

Values = Mapping[str, str | Sequence[str] | None]


def lines(text: str) -> list[str]:
    """Return the statements as they are written, without comments."""
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line]


def fill(text: str, values: Values) -> list[str]:
    """
    Fill the statements.

    One with a placeholder whose value is None is left out; with a list there is one for each. A placeholder that nobody
    has heard of is an error.
    """
    filled = []
    for line in lines(text):
        names = list(dict.fromkeys(_PLACEHOLDER.findall(line)))
        if unknown := [name for name in names if name not in values]:
            known = ", ".join(sorted(values))
            raise ValueError(f"no value for ${{{unknown[0]}}} in {line!r}: there are {known}")
        for combination in product(*(_each(values[name]) for name in names)):
            statement = line
            for name, value in zip(names, combination, strict=True):
                statement = statement.replace(f"${{{name}}}", value)
            filled.append(statement)
    return filled


def _each(value: str | Sequence[str] | None) -> Sequence[str]:
    all_of_it = [] if value is None else [value] if isinstance(value, str) else value
    for one in all_of_it:
        if not _HARMLESS.fullmatch(one):
            raise ValueError(f"{one!r} cannot stand in a policy statement")
    return all_of_it
