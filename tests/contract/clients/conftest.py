"""What the clients of other makers share: an https address of the service, and people who use them."""

from collections.abc import Iterator

import pytest

from tests.contract.clients.tls_forwarder import forwarding, make_certificate
from tests.running_service import Seller, Service


@pytest.fixture(scope="module")
def https_url(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return an https address of the service, whose certificate `requests` trusts while the module's tests run."""
    certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    with pytest.MonkeyPatch.context() as patch, forwarding(service.url, certificate) as url:
        patch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        yield url


@pytest.fixture(scope="module")
def manager(service: Service) -> Seller:
    """Return a manager of the organization, who owns what sellers may not change."""
    return service.seller("manager@contoso.example")
