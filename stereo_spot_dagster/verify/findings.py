"""What a comparison of two files found, rule by rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..domain.checks import CheckOutcome
from .rules import MINOR


class Verdict(StrEnum):
    """How a rule ended."""

    SAME = "same"
    DIFFERENT = "different"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Finding:
    """What one rule found.

    Attributes:
        rule: the rule's name.
        verdict: how it ended.
        expected: what the source asks for, in words.
        found: what the result has, in words.
        detail: what the difference means, or why nothing can be compared; empty where all is said.
    """

    rule: str
    verdict: Verdict
    expected: str
    found: str
    detail: str = ""

    @property
    def sentence(self) -> str:
        """The finding in one line."""
        if self.verdict is Verdict.DIFFERENT:
            return f"expected {self.expected}, found {self.found}" + (f": {self.detail}" if self.detail else "")
        return f"{self.found} ({self.detail})" if self.detail else self.found

    @property
    def outcome(self) -> CheckOutcome:
        """The finding as the outcome of a check: what cannot be compared is no failure."""
        passed = self.verdict is not Verdict.DIFFERENT
        return CheckOutcome(name=self.rule, passed=passed, detail=self.sentence, blocking=self.rule not in MINOR)


@dataclass(frozen=True)
class Report:
    """All findings about one result.

    Attributes:
        findings: one for each rule.
    """

    findings: tuple[Finding, ...]

    @property
    def differences(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.verdict is Verdict.DIFFERENT)


def same(rule: str, found: object, detail: str = "") -> Finding:
    """The result has what the source asks for."""
    return Finding(rule, Verdict.SAME, str(found), str(found), detail)


def different(rule: str, expected: object, found: object, detail: str = "") -> Finding:
    """The result differs from what the source asks for."""
    return Finding(rule, Verdict.DIFFERENT, str(expected), str(found), detail)


def not_comparable(rule: str, reason: str) -> Finding:
    """Nothing can be said, for a reason."""
    return Finding(rule, Verdict.NOT_COMPARABLE, "-", "not comparable", reason)


def judged(rule: str, problems: list[tuple[str, str]], words: str) -> Finding:
    """A finding about several things: ``problems`` are pairs of (expected, found); without any, ``words`` hold."""
    if not problems:
        return same(rule, words)
    return different(rule, "; ".join(expected for expected, _ in problems), "; ".join(found for _, found in problems))
