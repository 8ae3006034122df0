"""What a use case says when it will not do what was asked; the message is written for the person who asked."""


class Refused(Exception):
    """The request cannot be carried out as it stands; the message names the culprit and what would be right."""


class Missing(Exception):
    """What the request is about does not exist (any more)."""
