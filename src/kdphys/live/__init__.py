"""Measuring in front of a camera: capture, measurement, view and recording side by side."""
