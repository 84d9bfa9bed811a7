"""What a client is told of an error, whatever its dialect: the words, and the fields beside them for machines."""

from routewright.call import JsonObject
from routewright.errors import AllAttemptsFailed, BudgetExceeded, CallerError, RoutewrightError


def words_of(error: RoutewrightError) -> str:
    """What happened and what to do next."""
    return f"{error.message} (hint: {error.hint})" if error.hint else error.message


def details_of(error: RoutewrightError) -> JsonObject:
    """`param` and `code`; of failed attempts each one, and of a budget how it stands."""
    told: JsonObject = {"param": error.param if isinstance(error, CallerError) else None, "code": error.code}
    if isinstance(error, AllAttemptsFailed):
        told["attempts"] = [
            {"deployment": name, "code": failure.code, "message": failure.message} for name, failure in error.failures
        ]
    if isinstance(error, BudgetExceeded) and error.details:
        told["budget"] = error.details
    return told
