"""The lesson's twelve claims, each an experiment with a stored result: ``claim(4).stored()``."""

from helpers.claims.catalogue import CLAIMS
from helpers.claims.claim import Claim, ClaimError, Record

__all__ = ["CLAIMS", "Claim", "ClaimError", "Record", "claim"]


def claim(number: int) -> Claim:
    """Return claim ``number``.

    Raises:
        ClaimError: there is no such claim.
    """
    for found in CLAIMS:
        if found.number == number:
            return found
    raise ClaimError(f"There is no claim {number}. Choose one from 1 to {len(CLAIMS)}.")
