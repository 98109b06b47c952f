"""Names of Amazon ECR: which region and account a registry host belongs to, and its API. Pure.

A registry is ``ACCOUNT.dkr.ecr[-fips].REGION.SUFFIX``, or in its dual-stack form
``ACCOUNT.dkr-ecr[-fips].REGION.on.SUFFIX`` (Amazon ECR User Guide, "Private registries" and
"Making requests over IPv6"). The API's hosts are those that botocore's endpoint rules give.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_ACCOUNT = r"(?P<account>[0-9]{12})"
_REGION = r"(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]+)"
_PLAIN = re.compile(rf"{_ACCOUNT}\.dkr\.ecr(?P<fips>-fips)?\.{_REGION}\.(?P<suffix>[a-z0-9.-]+)")
_DUAL = re.compile(rf"{_ACCOUNT}\.dkr-ecr(?P<fips>-fips)?\.{_REGION}\.(?P<suffix>on\.[a-z0-9.-]+)")


@dataclass(frozen=True, slots=True)
class _Partition:
    """One of the clouds of AWS: its regions, and the ends of its host names."""

    regions: re.Pattern[str]
    plain: str
    dual: str
    registry: str


_PARTITIONS = tuple(
    _Partition(re.compile(regions), plain, dual, registry)
    for regions, plain, dual, registry in (
        (
            r"cn-.+",
            "amazonaws.com.cn",
            "api.amazonwebservices.com.cn",
            "on.amazonwebservices.com.cn",
        ),
        (r"eusc-.+", "amazonaws.eu", "api.amazonwebservices.eu", "on.amazonwebservices.eu"),
        (r"us-iso-.+", "c2s.ic.gov", "api.aws.ic.gov", "on.aws.ic.gov"),
        (r"us-isob-.+", "sc2s.sgov.gov", "api.aws.scloud", "on.aws.scloud"),
        (r"eu-isoe-.+", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "on.cloud-aws.adc-e.uk"),
        (r"us-isof-.+", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "on.aws.hci.ic.gov"),
        (r".+", "amazonaws.com", "api.aws", "on.aws"),
    )
)


@dataclass(frozen=True, slots=True)
class EcrRegistry:
    """A private registry of ECR; ``account`` is empty where the host does not tell it.

    ``api_host`` serves the API that makes repositories and tokens.
    """

    account: str
    region: str
    api_host: str

    @classmethod
    def of(cls, host: str) -> Self | None:
        """The registry behind ``HOST[:443]``; nothing if it is none of ECR's."""
        name = host.lower().removesuffix(":443").removesuffix(".")
        plain, dual = _PLAIN.fullmatch(name), _DUAL.fullmatch(name)
        found = plain or dual
        if found is None:
            return None
        region, partition, fips = found["region"], _partition(found["region"]), found["fips"] or ""
        if plain and found["suffix"] == partition.plain:
            return cls(found["account"], region, f"api.ecr{fips}.{region}.{partition.plain}")
        if dual and found["suffix"] == partition.registry:
            return cls(found["account"], region, f"ecr{fips}.{region}.{partition.dual}")
        return None

    @classmethod
    def in_region(cls, region: str) -> Self | None:
        """The registries of a region, reached by names of one's own; nothing if it is no region."""
        if not re.fullmatch(_REGION, region):
            return None
        return cls("", region, f"api.ecr.{region}.{_partition(region).plain}")


def _partition(region: str) -> _Partition:
    return next(one for one in _PARTITIONS if one.regions.fullmatch(region))
