"""Cases that other resolvers were tripped up by, and what they should come to.

The facts (who depends on whom, and the outcome) are those of resolvelib's functional tests,
https://github.com/sarugaku/resolvelib/tree/main/tests/functional (ISC licence, Tzu-ping Chung), most of which come from
CocoaPods' Molinillo and from issues of pip. They are rewritten for our syntax: versions have three numbers,
``~>`` of Ruby is our ``~=``, and extras, platforms and versions that make no difference are left out.

Each line contains a release and its dependencies. The request comes first, and the expected result, or ``nothing``,
follows an arrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orbitpkg.errors import ResolutionError
from orbitpkg.model.names import canonical_name
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.resolver.offers import Offer
from tests.registries import Registry, chosen

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAT_STAC = """
    pandas 1.4.0: python-dateutil>=2.8.1
    pandas 1.3.5: python-dateutil>=2.7.3
    pystac 1.8.3: python-dateutil>=2.7.0
    pystac 1.8.2: python-dateutil>=2.7.0
    pystac-client 0.3.3: requests>=2.25; pystac>=1.4.0
    pystac-client 0.3.2: requests>=2.25; pystac~=1.2.0
    sat-stac 0.1.1: python-dateutil~=2.7.5
    sat-stac 0.1.0: requests~=2.19.1; python-dateutil~=2.7.5
    python-dateutil 2.9.0:
    python-dateutil 2.7.5:
    requests 2.31.0:
"""
_SAT_STAC_NEEDS = "pandas<=1.4.0,>=1.3.5; pystac<=1.8.3,>=1.8.2; pystac-client<=0.3.3,>=0.3.2; sat-stac<=0.1.1"
_SAT_STAC_CHOSEN = (
    "pandas 1.3.5; pystac 1.8.3; pystac-client 0.3.3; sat-stac 0.1.1; python-dateutil 2.7.5; requests 2.31.0"
)
_AFNETWORKING = """
    AFNetworking 2.5.0:
    AFNetworking 2.2.4:
    AFNetworking 2.1.0:
    AFNetworking 2.0.0:
    AFNetworking 2.0.0-RC3:
    AFNetworking 1.3.4:
    AFNetworking 1.3.0:
    AFNetworking 1.2.1:
    AFNetworking 1.0.1:
    AFNetworking 1.0.0-RC1:
    AFNetworking 0.10.1:
"""

SCENARIOS = {
    "python: issue-134": f"""
        {_SAT_STAC_NEEDS} -> {_SAT_STAC_CHOSEN}
        {_SAT_STAC}""",
    "python: backjump-test-1, issue-134-2": f"""
        parent -> parent 0.0.1; {_SAT_STAC_CHOSEN}
        parent 0.0.1: {_SAT_STAC_NEEDS}
        {_SAT_STAC}""",
    "python: backjump-test-2, issue-134-3": f"""
        a -> a 0.0.1; b 0.0.2; c 0.0.1; {_SAT_STAC_CHOSEN}
        a 0.0.1: b; c
        b 0.0.1:
        b 0.0.2:
        c 0.0.1: {_SAT_STAC_NEEDS}
        {_SAT_STAC}""",
    "python: backjump-test-3": """
        a==1.0.0; b; c -> a 1.0.0; b 1.0.0; c 2.0.0; d 1.0.0
        a 1.0.0:
        a 2.0.0:
        b 2.0.0: d==2.0.0
        b 1.0.0: d==1.0.0
        c 1.0.0:
        c 2.0.0:
        d 2.0.0: a==2.0.0
        d 1.0.0: a==1.0.0""",
    "python: backjump-test-4": """
        a==1.0.0; b; c; e; f -> a 1.0.0; b 1.0.0; c 2.0.0; d 1.0.0; e 2.0.0; f 2.0.0
        a 1.0.0:
        a 2.0.0:
        b 2.0.0: d==2.0.0
        b 1.0.0: d==1.0.0
        c 1.0.0:
        c 2.0.0:
        d 2.0.0: a==2.0.0
        d 1.0.0: a==1.0.0
        e 1.0.0:
        e 2.0.0:
        f 1.0.0:
        f 2.0.0:""",
    "python: same-package": """
        package_a>=1.1; package_a>=1.0,<1.3; package_a>=1.2 -> package-a 1.2.0
        package-a 0.1.0:
        package-a 1.0.0:
        package-a 1.1.0:
        package-a 1.2.0:
        package-a 1.3.0:""",
    "python: conflict-with-dependency": """
        six<1.12; virtualenv -> six 1.11.0; virtualenv 16.7.9
        six 1.10.0:
        six 1.11.0:
        six 1.12.0:
        six 1.14.0:
        virtualenv 16.7.8:
        virtualenv 16.7.9:
        virtualenv 20.0.0: six>=1.12.0
        virtualenv 20.0.4: six>=1.12.0""",
    "cocoapods: resolves a simple conflict index": """
        my_app -> my-app 1.0.0; activemodel 3.2.11; grape 0.2.6; builder 3.0.4
        my_app 1.0.0: activemodel; grape
        builder 3.0.4:
        builder 3.1.4:
        grape 0.2.6: builder
        activemodel 3.2.8: builder~=3.0.0
        activemodel 3.2.9: builder~=3.0.0
        activemodel 3.2.10: builder~=3.0.0
        activemodel 3.2.11: builder~=3.0.0""",
    "cocoapods: resolves a complex conflict index": """
        my_app -> my-app 1.1.0; b 0.3.5; a 1.4.0; d 0.9.8; c 3.2.0
        a 1.0.2: d
        a 1.1.4: d
        a 1.2.0: d
        a 1.4.0: d
        d 1.3.0: x
        d 1.4.1: x
        d 0.9.8:
        b 0.3.4: a>=1.5.0
        b 0.3.5: a>=1.2
        b 0.3.3: a>1.0.0
        c 3.2.0: a~=1.0
        c 3.3.0: a~=1.0
        my_app 1.3.0: c>=4.0; b
        my_app 1.2.0: c~=3.3.0; b==0.3.4
        my_app 1.1.0: c~=3.2.0; b==0.3.5""",
    "cocoapods: picks the latest version when non-contiguous grouping would fail": """
        a; b -> a 1.0.1; b 1.0.0; c 1.0.0
        a 1.0.0:
        a 1.0.1: c
        a 1.0.2:
        b 1.0.0: a!=1.0.2
        c 1.0.0:""",
    # Molinillo refuses packages that need each other; here they are installed together.
    "cocoapods: handle circular dependencies that only appear for one bad version": """
        circular_app -> circular-app 1.0.0; foo 0.2.6; bar 1.0.0
        foo 0.2.6: bar
        bar 1.0.0: foo>=0.1
        bar 0.1.0:
        circular_app 1.0.0: foo; bar
        circular_app 0.0.1:""",
    "cocoapods: resolves when a previous conflict can be unwound only if filtered correctly": """
        a>=4.2; b<5.1 -> a 5.0.5; b 5.0.5; c 1.0.0
        a 5.1.0:
        a 5.0.5: c
        a 5.0.4:
        a 4.0.3: c
        a 4.0.2:
        a 4.0.1: c
        b 5.1.0: a==5.1.0
        b 5.0.5: a==5.0.5
        b 5.0.4: a==5.0.4
        c 1.0.0:""",
    "cocoapods: resolves when a previous conflict can be unwound but the existing one cannot": """
        a; b -> a 0.3.0; b 1.4.0; c 1.4.0; d 1.4.0; e 1.4.0
        a 0.3.0: c~=1.4; e~=1.4
        a 0.2.0: c~=1.3; e~=1.4
        a 0.1.0: c; e~=1.0; f~=1.4
        b 2.0.0: c==2.0.0; d~=2.0
        b 1.4.0: c==1.4.0; d~=1.4
        c 2.0.0: d~=2.0.0
        c 1.4.0: d~=1.4
        e 2.0.0: d>1.0.0,<3
        e 1.4.0: d>1.0.0,<3
        e 1.0.0:
        f 1.4.0: e~=2.0
        d 1.4.0:
        d 2.0.0:""",
    "cocoapods: resolves a three-way conflict index": f"""
        AFAmazonS3Client; CargoBay; AFOAuth2Client -> afamazons3client 1.0.1; cargobay 1.0.0; afoauth2client 0.1.2; \
afnetworking 1.3.4
        AFAmazonS3Client 2.0.0: AFNetworking~=2.0
        AFAmazonS3Client 1.0.1: AFNetworking~=1.3
        AFAmazonS3Client 0.3.0: AFNetworking~=1.0
        AFAmazonS3Client 0.0.1: AFNetworking>=1.0.0-RC1,<1.1
        AFOAuth2Client 0.1.2: AFNetworking~=1.3
        AFOAuth2Client 0.1.1: AFNetworking~=1.0
        CargoBay 2.1.0: AFNetworking~=2.2
        CargoBay 2.0.3: AFNetworking~=2.1
        CargoBay 2.0.0: AFNetworking~=2.0
        CargoBay 1.0.0: AFNetworking~=1.0
        CargoBay 0.3.3: AFNetworking>=1.0
        CargoBay 0.1.0: AFNetworking>=0.9
        {_AFNETWORKING}""",
    "cocoapods: can resolve when swapping children with successors": """
        build-essential; nginx -> build-essential 2.4.0; nginx 2.7.6; 7-zip 1.0.0; windows 1.39.2; \
chef-handler 1.3.0; yum-epel 0.6.6; yum 3.10.0
        nginx 2.7.6: yum-epel~=0.3; build-essential~=2.0
        nginx 0.1.0: build-essential~=2.0
        nginx 0.2.0: build-essential~=2.0
        build-essential 3.2.0: seven_zip
        build-essential 2.4.0: 7-zip
        7-zip 1.0.0: windows>=1.2.2
        seven_zip 2.0.0: windows>=1.2.2
        yum-epel 0.6.6: yum~=3.10.0
        yum 3.10.0:
        windows 1.39.2: chef-handler
        windows 0.0.4: chef-handler
        windows 0.0.1: chef-handler
        chef-handler 1.3.0:""",
    "cocoapods: resolves an index with root level conflict on child": """
        i18n~=0.4; activesupport~=3.0; activerecord~=3.0; builder~=2.1.2 -> i18n 0.4.2; activesupport 3.0.5; \
activerecord 3.0.5; activemodel 3.0.5; builder 2.1.2
        builder 2.1.2:
        builder 3.0.1:
        builder 3.1.3:
        i18n 0.4.1:
        i18n 0.4.2:
        activesupport 3.0.0:
        activesupport 3.0.1:
        activesupport 3.0.5:
        activesupport 3.1.7:
        activemodel 3.0.5: activesupport==3.0.5; builder~=2.1.2; i18n~=0.4
        activemodel 3.0.0: activesupport==3.0.0; builder~=2.1.2; i18n~=0.4.1
        activemodel 3.1.3: activesupport==3.1.3; builder~=2.1.2; i18n~=0.5
        activerecord 3.0.0: activesupport==3.0.0; activemodel==3.0.0
        activerecord 3.0.5: activesupport==3.0.5; activemodel==3.0.5
        activerecord 3.0.9: activesupport==3.1.5; activemodel==3.1.5""",
    "cocoapods: yields conflicts if a child dependency is not resolved": """
        chef_app_error -> nothing
        json 1.8.0:
        chef 10.26.0: json<=1.7.7,>=1.4.4
        berkshelf 2.0.7: json>=1.7.7
        chef_app_error 1.0.0: berkshelf~=2.0; chef~=10.26""",
}


def parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def releases(lines: list[str]) -> Iterator[tuple[str, Version, Offer]]:
    for line in lines:
        release, _, needs = line.partition(":")
        name, version = release.split()
        wanted = map(parse_requirement, parts(needs))
        dependencies = {requirement.name: requirement.range.text for requirement in wanted}
        yield canonical_name(name), parse_version(version), Offer(dependencies=dependencies)


@pytest.mark.parametrize("name", SCENARIOS)
def test_published_case(name: str) -> None:
    head, *lines = [line.strip() for line in SCENARIOS[name].splitlines() if line.strip()]
    asked, outcome = map(parts, head.split(" -> "))
    packages: dict[str, dict[Version, Offer]] = {}
    for key, version, offer in releases(lines):
        packages.setdefault(key, {})[version] = offer
    if outcome == ["nothing"]:
        with pytest.raises(ResolutionError):
            chosen(Registry(packages), *asked)
    else:
        assert chosen(Registry(packages), *asked) == dict(release.split() for release in outcome)
