"""Vital signs from frames as they come: exact, in constant memory."""

from kdphys.streaming.session import Counts, Session, Update, stream

__all__ = ["Counts", "Session", "Update", "stream"]
