"""Pulse, heart-rate variability and respiration from ordinary face video. Not a medical device."""
