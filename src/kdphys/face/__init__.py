"""Where the faces are: detection in one picture, tracks over time."""
