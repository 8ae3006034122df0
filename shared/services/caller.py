"""Who makes a request: the person behind a verified bearer token and the connection it came over."""

from dataclasses import dataclass

SELLER = "Seller"
MANAGER = "Manager"
ADMINISTRATOR = "Administrator"
ROLES = frozenset({SELLER, MANAGER, ADMINISTRATOR})


@dataclass(frozen=True, slots=True)
class Caller:
    """user: Entra object id (`oid`), which is the systemuserid, a lower-case guid. address: the client's IP address as
    engagement.hits.client_address finds it, "" when unknown. user_agent: its User-Agent header. roles: the app roles of
    the token, of ROLES. Address and user agent are never stored or logged as they are.
    """

    user: str
    address: str
    user_agent: str
    roles: frozenset[str]

    @property
    def manages(self) -> bool:
        """Whether the caller may change what others own (Manager and Administrator)."""
        return bool(self.roles & {MANAGER, ADMINISTRATOR})

    @property
    def administers(self) -> bool:
        """Whether the caller may change the organization's settings."""
        return ADMINISTRATOR in self.roles
