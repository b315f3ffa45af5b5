#!/bin/sh
# What a release has to know about its tag:
#   release.sh check v1.2.3     fails unless the tag names the version of the source
#   release.sh latest v1.2.3    prints whether it is the newest version of all: true or false
set -eu
cd "$(dirname "$0")/.."
tag=$2
case $1 in
check)
    version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' app/__init__.py)
    if [ "$tag" != "v$version" ]; then
        echo "release: the tag is $tag, and the source is of version $version" >&2
        exit 1
    fi
    ;;
latest)
    newest=$(git tag --list 'v*' --sort=-version:refname | grep -E '^v[0-9]+\.[0-9]+\.[0-9]+$' | head -n 1)
    if [ "$tag" = "$newest" ]; then echo true; else echo false; fi
    ;;
*)
    exit 2
    ;;
esac
