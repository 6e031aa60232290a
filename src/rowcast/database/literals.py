"""Texts as parts of SQL."""


def quote_text(value: str) -> str:
    """Return a text as a literal of standard SQL."""
    return "'" + value.replace("'", "''") + "'"


def in_parentheses(query: str) -> str:
    """Return the user's query in parentheses, the closing one on a line of its own: the query may end in a comment."""
    return f"({query.strip().rstrip(';')}\n)"
