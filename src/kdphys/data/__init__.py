"""Recordings from outside: public data sets, synthetic people, and the prepared store that both end up in."""
