"""Sensors: drop folder and progress."""
