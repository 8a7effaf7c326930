"""What keeps the demo from running, in words for the terminal."""


class DemoError(Exception):
    """The demo cannot start or go on; the text says what happened and what to do."""


class ChildError(DemoError):
    """A program of the demo ended, or never became ready; the text ends with the last lines it wrote."""
