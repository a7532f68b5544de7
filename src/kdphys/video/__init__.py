"""Frames in time: from files, folders of images, arrays."""
