"""What the commands tell a person who made a mistake, as opposed to a fault of the program."""


class UserError(Exception):
    """Input that cannot be used. The message is one sentence in the user's words and names the place.

    exit_code: what a command that meets it exits with.
    """

    exit_code = 2
