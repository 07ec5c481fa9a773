"""Prompt templates: text with named fields, given by the user or by the package."""

import re

_FIELD = re.compile(r"\{(\w+)\}")


def fill_template(template: str, **values: str) -> str:
    """`template` with each `{name}` replaced by its value; other braces, also inside values, stay."""
    return _FIELD.sub(lambda found: values.get(found.group(1), found.group(0)), template)


def has_field(template: str, *names: str) -> bool:
    """Whether `template` has at least one of the fields `names`."""
    return any(name in _FIELD.findall(template) for name in names)
