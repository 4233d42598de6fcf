"""How many connections does a server accept in a second, and in a second of processor
time? Asked as what one takes that is closed as soon as it is made."""

from questions import churn


def ask(build, count, seconds):
    return churn.ask_of(build, count, seconds, 0, "accept_rate", "accepted and closed")
