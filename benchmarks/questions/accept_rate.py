"""How many connections does a server accept in a second of processor time? Asked as
what one costs that is closed as soon as it is made."""

from questions import churn


def ask(build, count, seconds):
    return churn.ask(build, count, seconds, 0, "accept_rate", "accepted and closed")
