"""Compares a finished 3D file with its source, from both files alone; knows nothing of how the file was made."""

from .films import Film
from .findings import Finding, Report, Verdict
from .pairing import Announced
from .rules import RULES
from .verifying import Order, verify

__all__ = ["RULES", "Announced", "Film", "Finding", "Order", "Report", "Verdict", "verify"]
