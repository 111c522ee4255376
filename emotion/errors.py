"""The one exception for what a user can mend."""


class UserError(ValueError):
    """A mistake in what the user gave, told in one line: the key or file, the rule, and what was found."""
