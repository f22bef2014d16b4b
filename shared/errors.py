"""The one exception for mistakes that the person at the keyboard can mend."""


class UserError(Exception):
    """Something the user can put right. The message is one line: what happened, and what to do.

    Command-line programs print it to stderr and exit with status 2 (see shared/run/cli.py); nobody sees a traceback.
    """
