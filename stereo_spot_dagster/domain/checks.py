"""The outcome of checking something we made against what was planned."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from .errors import ProofFailed


class CheckOutcome(BaseModel):
    """One checked property.

    Attributes:
        name: what was checked, e.g. ``frame_count``.
        passed: whether it holds.
        detail: what was found, in words; with the expected and the found value where it fails.
        blocking: False for what is told, but is no reason to throw the work away.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    detail: str
    blocking: bool = True

    @property
    def blocks(self) -> bool:
        """True if what was made must not be published."""
        return self.blocking and not self.passed

    @property
    def words(self) -> str:
        """The property and what was found."""
        return f"{self.name.replace('_', ' ')}: {self.detail}"


def equal(name: str, expected: object, found: object) -> CheckOutcome:
    """The outcome of comparing two values."""
    passed = expected == found
    return CheckOutcome(
        name=name, passed=passed, detail=f"{found}" if passed else f"expected {expected}, found {found}"
    )


def worst_of(outcomes: Iterable[CheckOutcome]) -> tuple[CheckOutcome, ...]:
    """One outcome for each property of several files: the first that failed, else the first."""
    worst: dict[str, CheckOutcome] = {}
    for outcome in outcomes:
        known = worst.get(outcome.name)
        if known is None or (known.passed and not outcome.passed):
            worst[outcome.name] = outcome
    return tuple(worst.values())


def require(outcomes: list[CheckOutcome], subject: str) -> None:
    """Raise :class:`ProofFailed` naming every check that failed and blocks."""
    failed = [outcome for outcome in outcomes if outcome.blocks]
    if failed:
        words = "; ".join(outcome.words for outcome in failed)
        raise ProofFailed(subject, f"the result is not what was planned ({words})")
