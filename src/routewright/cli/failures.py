"""What can go wrong only at the command line."""

from routewright.errors import OperatorError


class AddressUnavailable(OperatorError):
    """The gateway cannot listen where it should: the port is in use, not permitted, or no address of this machine."""

    number, code = "E501", "address_unavailable"


class NotRecorded(OperatorError):
    """The ledger has nothing of that name."""

    number, code, status = "E502", "not_recorded", 404


class BadTable(OperatorError):
    """A table of outcomes cannot be read, or has not what is needed to evaluate routing on it."""

    number, code, status = "E504", "bad_table", 400


class BadPrices(OperatorError):
    """A price document cannot be read or fetched, or changes prices so much that somebody must agree to it."""

    number, code, status = "E505", "bad_prices", 400


class BadExport(OperatorError):
    """A provider's usage export cannot be read."""

    number, code, status = "E506", "bad_export", 400


class GatewayNotReached(OperatorError):
    """A program cannot be launched: its gateway does not start, does not answer, or does not let it in."""

    number, code = "E507", "gateway_not_reached"


class ProgramNotFound(OperatorError):
    """The program to be launched is not on this machine."""

    number, code, status = "E508", "program_not_found", 404


class NothingLogged(OperatorError):
    """The ledger has no decision that can be held against another policy."""

    number, code, status = "E136", "nothing_logged", 404


class OtherSideNotReached(OperatorError):
    """A gateway that is to be compared does not answer, or does not take the key."""

    number, code = "E156", "other_side_not_reached"


class BadKeysExport(OperatorError):
    """What another gateway told of its keys cannot be read, or nothing of it can be taken over."""

    number, code, status = "E157", "bad_keys_export", 400
