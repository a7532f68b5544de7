"""From a video to vital signs."""
