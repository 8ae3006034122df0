"""Which kind of network an address belongs to: the few that fetch mail on their own account or on somebody's behalf.

The catalogue holds published ranges only, as of November 2026. It is a hint and never the whole verdict, except for
networks that filter mail and do nothing else. A range that moves costs a hint, never an answer to a recipient.
"""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

CATALOGUE: Mapping[str, str] = {
    # Gmail's image proxy and Google's own fetchers: gstatic.com/ipranges/goog.json without Google Cloud's customers.
    "google": """
        64.233.160.0/19 66.102.0.0/20 66.249.64.0/19 72.14.192.0/18 74.125.0.0/16 108.170.192.0/18 108.177.0.0/17
        142.250.0.0/15 172.217.0.0/16 172.253.0.0/16 173.194.0.0/16 209.85.128.0/17 216.58.192.0/19 216.239.32.0/19
        2001:4860::/32 2404:6800::/32 2607:f8b0::/32 2800:3f0::/32 2a00:1450::/32 2c0f:fb50::/32""",
    # Exchange Online Protection, endpoint sets 9 and 10 of the Microsoft 365 list: it filters mail, nobody reads there.
    "microsoft-eop": """
        40.92.0.0/15 40.107.0.0/16 52.100.0.0/14 52.238.78.88/32 104.47.0.0/17 2a01:111:f400::/48 2a01:111:f403::/48""",
    # Where attachments and links are detonated; outside the published sets (gophish 2646 shows a log).
    "microsoft-detonation": "40.94.0.0/16",
    # Exchange Online, endpoint set 1: Outlook on the web and Outlook.com fetch images here when somebody reads.
    "exchange-online": """
        13.107.6.152/31 13.107.18.10/31 13.107.128.0/22 23.103.160.0/20 40.96.0.0/13 40.104.0.0/15 52.96.0.0/14
        131.253.33.215/32 132.245.0.0/16 150.171.32.0/22 204.79.197.215/32 2603:1006::/40 2603:1016::/36
        2603:1026::/36 2603:1036::/36 2603:1046::/36 2603:1056::/36 2620:1ec:8f0::/46 2620:1ec:900::/46""",
    # Azure: detonation runs here too, and so do people's virtual desktops.
    "azure": """
        4.128.0.0/9 9.169.0.0/16 13.64.0.0/11 13.104.0.0/14 20.0.0.0/8 23.96.0.0/13 40.64.0.0/10 51.4.0.0/15
        51.8.0.0/16 51.10.0.0/15 51.104.0.0/15 51.120.0.0/16 51.124.0.0/16 51.132.0.0/16 51.136.0.0/15 51.138.0.0/16
        51.140.0.0/14 51.144.0.0/15 52.96.0.0/11 52.136.0.0/13 52.145.0.0/16 52.146.0.0/15 52.148.0.0/14 52.152.0.0/13
        52.160.0.0/11 52.224.0.0/11 65.52.0.0/14 70.37.0.0/17 72.153.0.0/16 74.179.0.0/16 74.234.0.0/15 74.240.0.0/14
        104.40.0.0/13 104.208.0.0/13 132.220.0.0/16 135.232.0.0/16 137.116.0.0/15 137.135.0.0/16 138.91.0.0/16
        157.55.0.0/16 157.56.0.0/16 168.61.0.0/16 168.62.0.0/15 172.160.0.0/11 191.232.0.0/13 2603:1000::/24
        2a01:111::/32""",
    # iCloud Private Relay's egress (mask-api.icloud.com), collapsed: Mail Privacy Protection and Safari share it.
    "icloud-relay": """
        17.0.0.0/8 104.28.0.0/16 140.248.0.0/16 146.75.0.0/16 172.224.0.0/14 2606:54c0::/30 2a02:26f7::/32
        2a04:4e41::/32 2a09:bac2::/31""",
    # senders.yahooinc.com/mail-proxy-servers
    "yahoo": """
        27.123.32.0/19 67.195.0.0/16 69.147.64.0/18 87.248.96.0/19 98.136.0.0/14 106.10.128.0/17 115.178.0.0/20
        119.161.0.0/19 200.152.160.0/20 202.43.192.0/19 209.73.160.0/19 212.82.96.0/19 216.115.96.0/20 66.163.160.0/19
        66.196.64.0/18 68.180.128.0/17 74.6.0.0/16 77.238.160.0/19 188.125.64.0/19 217.12.0.0/20 217.146.176.0/20
        2001:4998::/32 2406:2000::/32 2406:6e00::/32 2804:1bc::/32 2a00:1288::/32""",
    # Barracuda Email Gateway Defense, the ranges it publishes per region.
    "barracuda": """
        3.24.133.128/25 15.222.16.128/25 35.157.190.224/27 18.185.115.192/26 18.184.203.224/27 13.200.136.128/25
        35.176.92.96/27 18.133.136.128/26 18.133.136.96/27 209.222.80.0/21 64.235.144.0/20""",
    # AS22843, AS26211, AS52129: filters, and renders clicked pages for people (browser isolation).
    "proofpoint": """
        62.209.50.0/23 66.159.224.0/19 67.231.144.0/20 91.207.212.0/23 91.209.104.0/24 103.151.192.0/23
        143.55.144.0/21 148.163.128.0/19 185.132.180.0/22 185.169.148.0/24 185.183.28.0/22 205.220.160.0/19
        208.56.0.0/18 208.83.136.0/22 208.84.64.0/22 208.86.200.0/22""",
    # AS30031, AS39588, AS42427, AS60492 and the regional ones beside them.
    "mimecast": """
        41.74.192.0/20 51.163.158.0/23 62.140.7.0/24 62.140.10.0/24 63.128.21.0/24 91.220.42.0/24 103.13.69.0/24
        103.96.20.0/22 124.47.150.0/24 124.47.189.0/24 146.101.76.0/22 147.28.34.0/23 170.10.128.0/19 180.189.28.0/24
        185.58.84.0/22 193.7.204.0/22 194.104.108.0/22 195.130.217.0/24 204.141.92.0/24 205.139.110.0/23
        207.82.80.0/24 207.211.30.0/23 213.167.75.0/24 213.167.81.0/24 216.35.243.0/24 216.35.244.0/24
        216.145.216.0/21 216.205.24.0/24""",
    # AS16417
    "cisco": "68.232.128.0/19 139.138.32.0/19 184.94.240.0/20 207.54.64.0/19 208.90.56.0/21 216.71.128.0/19",
    # Symantec.cloud, formerly MessageLabs; Forcepoint.
    "gateway": """
        46.226.48.0/21 67.219.240.0/20 85.158.136.0/21 117.120.16.0/21 193.109.254.0/23 194.106.220.0/23
        195.245.230.0/23 216.82.240.0/20 85.115.32.0/19 86.111.216.0/21 116.50.56.0/21 208.87.232.0/21""",
    # Large hosting ranges. Scanners live there, and so do some people's VPN exits.
    "cloud": """
        3.0.0.0/8 13.32.0.0/15 13.48.0.0/13 13.112.0.0/14 13.124.0.0/14 13.200.0.0/13 13.208.0.0/12 13.224.0.0/12
        13.244.0.0/14 15.152.0.0/13 15.160.0.0/12 15.184.0.0/13 15.204.0.0/14 15.220.0.0/14 15.228.0.0/14 16.16.0.0/12
        16.162.0.0/15 18.32.0.0/11 18.64.0.0/10 18.128.0.0/9 34.192.0.0/10 35.71.0.0/16 35.72.0.0/13 35.80.0.0/12
        35.152.0.0/13 35.160.0.0/12 35.176.0.0/13 43.192.0.0/12 44.192.0.0/10 46.51.128.0/17 46.137.0.0/16 50.16.0.0/14
        52.0.0.0/10 52.64.0.0/12 52.192.0.0/11 54.64.0.0/10 54.144.0.0/12 54.160.0.0/11 54.192.0.0/10 63.32.0.0/14
        65.0.0.0/14 75.101.128.0/17 79.125.0.0/17 99.77.0.0/16 99.78.0.0/15 99.80.0.0/15 100.20.0.0/14 107.20.0.0/14
        174.129.0.0/16 175.41.128.0/17 176.32.64.0/18 176.34.0.0/16 184.72.0.0/15 184.169.128.0/17 204.236.128.0/17
        2600:1f00::/24 2406:da00::/24 2a05:d000::/25
        34.0.0.0/9 34.128.0.0/10 35.184.0.0/13 35.192.0.0/11 35.224.0.0/12 35.240.0.0/13 104.154.0.0/15 104.196.0.0/14
        107.167.160.0/19 107.178.192.0/18 108.59.80.0/20 130.211.0.0/16 146.148.0.0/17 162.222.176.0/21 2600:1900::/28
        5.101.96.0/20 46.101.0.0/16 64.225.0.0/17 68.183.0.0/16 104.131.0.0/16 104.236.0.0/16 104.248.0.0/16
        107.170.0.0/16 128.199.0.0/16 134.122.0.0/16 134.209.0.0/16 137.184.0.0/16 138.68.0.0/16 138.197.0.0/16
        139.59.0.0/16 142.93.0.0/16 143.110.128.0/17 143.198.0.0/16 146.190.0.0/16 157.230.0.0/16 157.245.0.0/16
        159.65.0.0/16 159.89.0.0/16 161.35.0.0/16 164.90.128.0/17 164.92.64.0/18 165.22.0.0/16 165.227.0.0/16
        165.232.0.0/16 167.71.0.0/16 167.99.0.0/16 167.172.0.0/16 174.138.0.0/17 178.62.0.0/16 178.128.0.0/16
        188.166.0.0/16 188.226.128.0/17 192.241.128.0/17 198.199.64.0/18 206.189.0.0/16 207.154.192.0/18
        209.97.128.0/17 2604:a880::/32 2a03:b0c0::/32
        5.9.0.0/16 46.4.0.0/16 49.12.0.0/15 65.21.0.0/16 65.108.0.0/15 78.46.0.0/15 88.99.0.0/16 88.198.0.0/16
        91.107.128.0/17 94.130.0.0/16 95.216.0.0/15 116.202.0.0/15 128.140.0.0/17 135.181.0.0/16 136.243.0.0/16
        138.201.0.0/16 142.132.128.0/17 144.76.0.0/16 148.251.0.0/16 157.90.0.0/16 159.69.0.0/16 162.55.0.0/16
        167.235.0.0/16 168.119.0.0/16 176.9.0.0/16 178.63.0.0/16 188.40.0.0/16 195.201.0.0/16 213.133.96.0/19
        213.239.192.0/18 2a01:4f8::/31
        51.38.0.0/16 51.68.0.0/16 51.75.0.0/16 51.77.0.0/16 51.79.0.0/16 51.81.0.0/16 51.83.0.0/16 51.89.0.0/16
        51.91.0.0/16 51.178.0.0/16 51.195.0.0/16 51.210.0.0/16 51.222.0.0/16 51.254.0.0/15 54.36.0.0/14 91.121.0.0/16
        92.222.0.0/16 94.23.0.0/16 135.125.0.0/16 135.148.0.0/16 137.74.0.0/16 139.99.0.0/16 141.94.0.0/15
        144.217.0.0/16 145.239.0.0/16 146.59.0.0/16 147.135.0.0/16 149.56.0.0/16 149.202.0.0/16 151.80.0.0/16
        152.228.128.0/17 158.69.0.0/16 162.19.0.0/16 164.132.0.0/16 167.114.0.0/16 176.31.0.0/16 178.32.0.0/15
        188.165.0.0/16 192.99.0.0/16 193.70.0.0/17 198.27.64.0/18 198.50.128.0/17 213.32.0.0/17 217.182.0.0/16
        2001:41d0::/32 2607:5300::/32""",
}

DOCUMENTATION = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")
)
"""RFC 5737, 3849 and 9637: they stand for ordinary addresses, so a prefix shared among them means nothing."""

type _Table = dict[int, dict[int, str]]


def _tables() -> tuple[_Table, _Table]:
    """Return prefix length -> prefix -> class, longest prefix first, for IPv4 and IPv6."""
    tables: tuple[_Table, _Table] = ({}, {})
    for name, networks in CATALOGUE.items():
        for text in networks.split():
            network = ipaddress.ip_network(text, strict=False)
            shift = network.max_prefixlen - network.prefixlen
            table = tables[network.version == 6]
            table.setdefault(shift, {}).setdefault(int(network.network_address) >> shift, name)
    four, six = (dict(sorted(table.items())) for table in tables)
    return four, six


_FOUR, _SIX = _tables()


def parse(text: str) -> Address | None:
    """Return the address that `text` writes, IPv4 also where it is mapped into IPv6; None where it writes none.

    >>> parse("::ffff:192.0.2.1")
    IPv4Address('192.0.2.1')
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=4096)
def classify(text: str) -> str:
    """Return the class of the network that `text`, an address, belongs to; "" for an ordinary one or no address.

    The longest prefix wins, so that Exchange Online is told from the rest of Microsoft.

    >>> classify("66.249.84.3"), classify("52.97.1.1"), classify("192.0.2.1")
    ('google', 'exchange-online', '')
    """
    address = parse(text)
    if address is None:
        return ""
    value = int(address)
    for shift, prefixes in (_FOUR if address.version == 4 else _SIX).items():
        name = prefixes.get(value >> shift)
        if name is not None:
            return name
    return ""


@lru_cache(maxsize=4096)
def neighbourhood(text: str) -> str:
    """Return the /24 or /48 that `text`, an address, belongs to, as text; the address itself where that says nothing.

    >>> neighbourhood("66.249.84.3"), neighbourhood("2a00:1450:4001:82a::5"), neighbourhood("192.0.2.1")
    ('66.249.84.0/24', '2a00:1450:4001::/48', '192.0.2.1')
    """
    address = parse(text)
    if address is None:
        return text
    if any(address in network for network in DOCUMENTATION):
        return str(address)
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))
