"""One tree of errors; each class knows its code, its HTTP status, whose fault it is and whether trying again can help.

RoutewrightError
├── CallerError                 the request is wrong or not allowed: no attempt can mend it
│   ├── InvalidJson · InvalidRequest · BodyTooLarge · Unauthorized · RouteNotFound · MethodNotAllowed
│   ├── ModelNotFound · ContextTooLong · NoEligibleModel · UnpricedModel
│   ├── BudgetExceeded · RateLimited · ForeignOrigin
│   ├── NotPermitted · KeyNotFound · RequestInProgress · IdempotencyMismatch
│   ├── InvalidHttp · HeadTooLarge · RequestTimeout
│   ├── ResponseNotFound · PreviousResponseNotFound
│   ├── RequestNotFound · JobNotFound · JobRefused · BadInput · ClusterUnusable
│   ├── FileNotKept · StorageFull · BatchNotHeld
│   ├── InvalidCheck · CheckFailed · TooFewOutcomes · NoPromise
│   ├── PolicyNotFound · PolicyRefused
│   └── ForeignForm · PageTooSlow
├── ProviderError               one attempt failed; retry or fallback may help
│   ├── ConnectFailed · TlsFailed                      provably unsent: costs nothing
│   ├── ConnectionLost · StreamCut · InvalidResponse   sent: the provider may bill it
│   ├── FirstEventTimeout · IdleTimeout                sent: the provider may bill it
│   ├── ProviderOverloaded · ProviderFailed            answered with an error: costs nothing
│   ├── ProviderRejected · CredentialRefused           answered with an error: the same words again will not help
│   ├── CircuitOpen · CoolingDown · DeploymentBusy · HoldRefused   refused by us, unsent
│   └── RetriesSpent · TooLate · CredentialResting                 the same
├── AllAttemptsFailed · DeadlineExceeded               the request as a whole failed
└── OperatorError               the installation is wrong or at a bound: the operator can mend it
    ├── LedgerUnavailable · StoreUnavailable · Overloaded · SchemaRefused
    ├── SettingsError · ArtefactError · EmbeddingFailed · AccessUnavailable
    └── ShuttingDown · RedisUnavailable · ExportFailed · LedgerInUse · LedgersDiffer
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import ClassVar, TypeAlias


class Fault(Enum):
    """Whose mistake an error is."""

    CALLER = "caller"
    PROVIDER = "provider"
    OURS = "ours"


class Remedy(Enum):
    """What can still help after an error."""

    NOTHING = "nothing"
    """The same request fails anywhere."""
    ELSEWHERE = "elsewhere"
    """Another deployment or model may do it; the same one will not."""
    OTHER_MODEL = "other_model"
    """Another model may do it; no deployment of this one will."""
    AGAIN = "again"
    """The same deployment may do it after a pause."""


class RoutewrightError(Exception):
    """The root: everything this package raises on purpose."""

    number: ClassVar[str] = "E000"
    """What `routewright explain` knows the error by."""
    code: ClassVar[str] = "internal_error"
    """For machines: the `code` of the error body and of the ledger entry."""
    status: ClassVar[int] = 500
    """The HTTP status a client sees when this error is the answer."""
    fault: ClassVar[Fault] = Fault.OURS
    remedy: ClassVar[Remedy] = Remedy.NOTHING

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def http_status(self) -> int:
        """The status of this very error; its class's, as a rule."""
        return self.status

    def __reduce__(self) -> tuple[object, ...]:
        """So that it goes whole from one process to another, whatever its constructor takes."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[RoutewrightError], args: tuple[object, ...], state: Mapping[str, object]) -> RoutewrightError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


Details: TypeAlias = Mapping[str, str | int | bool | None]
"""What a message says in words, for machines: amounts in nano-USD, times in ISO 8601."""


# ---- the caller -------------------------------------------------------------------------------------------------


class CallerError(RoutewrightError):
    """The request is wrong or not allowed. `param` names the field, as OpenAI's error bodies do."""

    code = "invalid_request"
    status = 400
    fault = Fault.CALLER

    def __init__(self, message: str, *, param: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.param = param


class InvalidJson(CallerError):
    """The body is not the JSON object it should be."""

    number, code = "E101", "invalid_json"


class InvalidRequest(CallerError):
    """A field is missing, of the wrong type or out of range."""

    number, code = "E102", "invalid_request"


class BodyTooLarge(CallerError):
    """The body is over the size bound."""

    number, code, status = "E103", "body_too_large", 413


class Unauthorized(CallerError):
    """No key, or not a valid one."""

    number, code, status = "E104", "invalid_api_key", 401


class RouteNotFound(CallerError):
    """No such address."""

    number, code, status = "E105", "not_found", 404


class MethodNotAllowed(CallerError):
    """The address exists, the method does not."""

    number, code, status = "E106", "method_not_allowed", 405

    def __init__(self, message: str, *, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = allowed


class ModelNotFound(CallerError):
    """No model, alias or deployment of that name."""

    number, code, status = "E107", "model_not_found", 404


class ContextTooLong(CallerError):
    """No permitted model's window holds the input and the output asked for."""

    number, code, status = "E108", "context_too_long", 400


class NoEligibleModel(CallerError):
    """Every model was removed by a constraint; the message says which by which."""

    number, code, status = "E109", "no_eligible_model", 400


class UnpricedModel(CallerError):
    """The model has no price, so what it may cost is not known."""

    number, code, status = "E110", "unpriced_model", 403


class BudgetExceeded(CallerError):
    """The dearest thing the attempt may cost does not fit. 402, because SDKs do not retry it."""

    number, code, status = "E111", "budget_exceeded", 402

    def __init__(self, message: str, *, details: Details | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.details = details or {}


class RateLimited(CallerError):
    """Too many requests of this caller."""

    number, code, status = "E112", "rate_limited", 429

    def __init__(self, message: str, *, retry_after_s: float, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class ForeignOrigin(CallerError):
    """A web page of somebody else's asks a gateway that has no key: its reader would pay."""

    number, code, status = "E113", "foreign_origin", 403


class NotPermitted(CallerError):
    """The key is good, but not for this."""

    number, code, status = "E114", "permission_denied", 403


class KeyNotFound(CallerError):
    """No virtual key of that id."""

    number, code, status = "E115", "key_not_found", 404


class RequestInProgress(CallerError):
    """A request with the same Idempotency-Key is being answered, or was and its answer could not be kept."""

    number, code, status = "E116", "request_in_progress", 409


class IdempotencyMismatch(CallerError):
    """The Idempotency-Key came before, with another body."""

    number, code, status = "E117", "idempotency_key_reused", 422


class InvalidHttp(CallerError):
    """The bytes are not a request, or one that could be read in two ways."""

    number, code = "E118", "invalid_http"


class HeadTooLarge(CallerError):
    """Too many headers, or too long ones."""

    number, code, status = "E119", "head_too_large", 431


class RequestTimeout(CallerError):
    """The request came so slowly that it was given up."""

    number, code, status = "E120", "request_timeout", 408


class ResponseNotFound(CallerError):
    """No response of that id is kept."""

    number, code, status = "E121", "response_not_found", 404


class PreviousResponseNotFound(CallerError):
    """The response to go on from is not kept, or no more."""

    number, code = "E122", "previous_response_not_found"


class RequestNotFound(CallerError):
    """The ledger has no request of that id, or it is somebody else's."""

    number, code, status = "E146", "request_not_found", 404


class JobNotFound(CallerError):
    """There is no batch of that id."""

    number, code, status = "E123", "batch_not_found", 404


class JobRefused(CallerError):
    """A batch cannot be run, or not in this way: its state, another process, or its files are in the way."""

    number, code, status = "E124", "batch_refused", 409


class BadInput(CallerError):
    """The input of a batch cannot be used as a whole; nothing was asked."""

    number, code = "E125", "bad_batch_input"


class FileNotKept(CallerError):
    """No file of that id is kept."""

    number, code, status = "E126", "file_not_found", 404


class StorageFull(CallerError):
    """There is no room for another file or batch."""

    number, code, status = "E127", "storage_full", 413


class BatchNotHeld(CallerError):
    """What a batch can cost in all does not fit into its budgets, so nothing of it was sent to a provider."""

    number, code, status = "E129", "batch_not_held", 402


class ClusterUnusable(CallerError):
    """The Ray cluster is not there, its actors die, or they are not set up as the process that asks for them."""

    number, code, status = "E128", "cluster_unusable", 503


class InvalidCheck(CallerError):
    """A check of a request cannot be made: no such name, or a schema or pattern that cannot be taken."""

    number, code = "E131", "invalid_check"


class CheckFailed(CallerError):
    """The answer does not pass its checks, whatever was done about it."""

    number, code, status = "E132", "check_failed", 422


class PolicyNotFound(CallerError):
    """No policy, or no version of one, has that name."""

    number, code, status = "E142", "policy_not_found", 404


class PolicyRefused(CallerError):
    """A policy cannot be used as it is, or not be written any more."""

    number, code = "E143", "policy_refused"


class TooFewOutcomes(CallerError):
    """The ledger has next to nothing that a policy could be proposed from."""

    number, code = "E138", "too_few_outcomes"


class NoPromise(CallerError):
    """No policy in force was tuned, so there is no promise to watch."""

    number, code, status = "E139", "no_promise", 404


class ForeignForm(CallerError):
    """A form for the dashboard was sent by somebody else's page, or by no browser."""

    number, code, status = "E148", "foreign_form", 403


class PageTooSlow(CallerError):
    """What a page of the dashboard asks of the ledger takes too long."""

    number, code, status = "E149", "page_too_slow", 504


# ---- the provider -----------------------------------------------------------------------------------------------


class ProviderError(RoutewrightError):
    """One attempt failed. `provider_status` is the provider's own HTTP status, when it answered at all."""

    code = "provider_error"
    status = 502
    fault = Fault.PROVIDER
    remedy = Remedy.ELSEWHERE
    may_be_billed: ClassVar[bool] = False
    """True when the provider may have worked, and may charge, although we have no answer."""
    is_sick: ClassVar[bool] = True
    """True when it says something about the deployment's health, and so counts for its circuit breaker."""
    is_local: ClassVar[bool] = False
    """True when it is as likely our side's as theirs: our network, our resolver, our list of authorities."""
    is_lasting: ClassVar[bool] = False
    """True when a second try is known to meet the same, until somebody has mended it: once is enough for a circuit."""
    is_unsent: ClassVar[bool] = False
    """True for our own refusals: there was no attempt, and nothing to count as one."""

    def __init__(
        self,
        message: str,
        *,
        provider_status: int | None = None,
        retry_after_s: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.provider_status = provider_status
        self.retry_after_s = retry_after_s


class ConnectFailed(ProviderError):
    """No connection: refused, name not found, or too slow. Nothing was sent."""

    number, code, remedy = "E201", "upstream_connect_failed", Remedy.AGAIN
    is_local = True


class TlsFailed(ProviderError):
    """The provider's certificate could not be verified. Nothing was sent; verification is never switched off."""

    number, code = "E202", "upstream_tls"
    is_local = True
    is_lasting = True


class ConnectionLost(ProviderError):
    """The connection broke after the request was sent and before any answer."""

    number, code, remedy = "E203", "upstream_connection_lost", Remedy.AGAIN
    may_be_billed = True


class StreamCut(ProviderError):
    """The answer broke off."""

    number, code, remedy = "E204", "upstream_stream_cut", Remedy.AGAIN
    may_be_billed = True


class InvalidResponse(ProviderError):
    """The answer is not what the dialect says it should be."""

    number, code = "E205", "upstream_invalid_response"
    may_be_billed = True


class FirstEventTimeout(ProviderError):
    """Nothing of the answer came in time. Not tried again in the same place: it would be as slow."""

    number, code, status = "E206", "upstream_timeout", 504
    may_be_billed = True


class IdleTimeout(ProviderError):
    """The answer stopped coming."""

    number, code, status = "E207", "upstream_idle_timeout", 504
    may_be_billed = True


class ProviderOverloaded(ProviderError):
    """429: the provider asks for a pause. A cooldown, not an illness."""

    number, code, status, remedy = "E208", "upstream_rate_limited", 429, Remedy.AGAIN
    is_sick = False


class ProviderFailed(ProviderError):
    """The provider answered 5xx or an error object."""

    number, code, remedy = "E209", "upstream_failed", Remedy.AGAIN


class ProviderRejected(ProviderError):
    """The provider refused these words (400, 404, 413, 422): the same request will not pass there."""

    number, code, status = "E210", "upstream_rejected", 400
    fault = Fault.CALLER
    is_sick = False


class CredentialRefused(ProviderError):
    """401 or 403: our key for this provider is not valid. The operator's to mend, never the caller's."""

    number, code = "E211", "upstream_credential_refused"
    is_lasting = True


class CircuitOpen(ProviderError):
    """The deployment has been failing and is resting. Nobody waits for it: that would pile up what it cannot take."""

    number, code, status = "E212", "circuit_open", 503
    is_sick = False
    is_unsent = True


class CoolingDown(ProviderError):
    """The provider asked for a pause, which is not over. It is waited for, where nobody else can answer in time."""

    number, code, status, remedy = "E215", "deployment_cooling_down", 429, Remedy.AGAIN
    is_sick = False
    is_unsent = True


class DeploymentBusy(ProviderError):
    """The deployment's own concurrency limit and waiting room are full."""

    number, code, status = "E213", "deployment_busy", 503
    is_sick = False
    is_unsent = True


class HoldRefused(ProviderError):
    """The dearest that the attempt may cost does not fit into a budget, so nothing was sent."""

    number, code, status, remedy = "E214", "hold_refused", 402, Remedy.OTHER_MODEL
    fault = Fault.CALLER
    is_sick = False
    is_unsent = True

    def __init__(self, message: str, *, details: Details) -> None:
        super().__init__(message)
        self.details = details


class RetriesSpent(ProviderError):
    """So many attempts fail just now that a further one would only add to it."""

    number, code, status = "E216", "retries_spent", 503
    is_sick = False
    is_unsent = True


class TooLate(ProviderError):
    """The deployment takes longer to begin an answer than is left before the deadline."""

    number, code, status = "E217", "too_late", 504
    is_sick = False
    is_unsent = True


class CredentialResting(ProviderError):
    """The provider refused our key a moment ago, so it was not offered again. The operator's to mend."""

    number, code = "E218", "credential_resting"
    is_sick = False
    is_unsent = True


# ---- the request as a whole -------------------------------------------------------------------------------------


class AllAttemptsFailed(RoutewrightError):
    """Every attempt failed: `failures` holds, in order, the deployment and what each met there."""

    number, code = "E301", "all_attempts_failed"
    fault = Fault.PROVIDER

    def __init__(self, failures: Sequence[tuple[str, ProviderError]]) -> None:
        told = "; ".join(f"{name}: {error.message}" for name, error in failures)
        super().__init__(f"all {len(failures)} attempts failed: {told}")
        self.failures = tuple(failures)

    @property
    def http_status(self) -> int:
        """502, or the status that all failures agree on; what was not sent has a say only if nothing was."""
        sent = {error.status for _, error in self.failures if not error.is_unsent}
        statuses = sent or {error.status for _, error in self.failures}
        return statuses.pop() if len(statuses) == 1 else 502

    @property
    def retry_after_s(self) -> float | None:
        """The shortest pause that any provider asked for, in seconds."""
        pauses = [error.retry_after_s for _, error in self.failures if error.retry_after_s is not None]
        return min(pauses, default=None)


class DeadlineExceeded(RoutewrightError):
    """The one deadline over the whole request has passed."""

    number, code, status = "E302", "deadline_exceeded", 504


# ---- the operator -----------------------------------------------------------------------------------------------


class OperatorError(RoutewrightError):
    """The installation is wrong or at one of its bounds."""

    status = 503


class LedgerUnavailable(OperatorError):
    """The ledger cannot take an entry; nothing that costs money is started."""

    number, code = "E401", "ledger_unavailable"


class SchemaRefused(LedgerUnavailable):
    """The ledger's tables are not those that this routewright knows, and it must not or could not change them."""

    number, code = "E408", "schema_refused"


class StoreUnavailable(OperatorError):
    """The store behind the journal does not answer now; the journal keeps what it could not deliver."""

    number, code = "E402", "store_unavailable"


class Overloaded(OperatorError):
    """More work than the stated bounds allow."""

    number, code = "E403", "overloaded"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SettingsError(OperatorError):
    """The settings are wrong; the message quotes file, line and path."""

    number, code = "E404", "invalid_settings"


class ArtefactError(OperatorError):
    """The trained part of the decision is missing or damaged, or what was asked of it cannot be done."""

    number, code = "E406", "bad_artefact"


class EmbeddingFailed(OperatorError):
    """The embedding model on this machine could not make a vector."""

    number, code = "E407", "embedding_failed"


class AccessUnavailable(OperatorError):
    """The keys could not be read for so long that a metered one cannot be trusted to be valid still."""

    number, code = "E409", "access_unavailable"


class ShuttingDown(OperatorError):
    """The gateway ends, and the time that its last answers were given is over."""

    number, code = "E410", "shutting_down"


class RedisUnavailable(OperatorError):
    """Redis did not answer within 50 ms, or is left alone after that: what it shares is decided here alone."""

    number, code = "E411", "redis_unavailable"


class ExportFailed(OperatorError):
    """A file with rows of the ledger cannot be written."""

    number, code = "E420", "export_failed"


class LedgerInUse(OperatorError):
    """A process writes to a ledger that must rest."""

    number, code, status = "E421", "ledger_in_use", 409


class LedgersDiffer(OperatorError):
    """A copy of the ledger is not what it was copied from, or would be laid over another one."""

    number, code, status = "E422", "ledgers_differ", 409
