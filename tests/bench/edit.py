"""How long it takes from a saved file to the proof, beside `go build` of the program that was changed.

    kubev6 deploy
    kubev6 server up
    kubev6 dev --source TREE
    python -m tests.bench.edit --source TREE

For each component a file of one line is put into its directory in the tree, in a way that changes its bytes, and is
taken out in the end: use a copy. `go build` runs in the same container, with the same cache, after an edit of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from uuid import uuid4

from configs.schema.loading import load_cluster
from tasks.docker import toolchain
from tasks.release import build, choose, compile, go_cache
from tasks.release.series import working_tree
from tasks.release.series.check_out import check_out
from tests.checkout import REPO

COMPONENTS = ("kube-proxy", "kubelet", "kube-apiserver")
EDIT = 'package main\n\nimport "os"\n\nfunc init() {{ os.Setenv("KUBEV6_EDIT", "{}") }}\n'
FLAGS = "-installsuffix static -ldflags '-s -w'"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, type=Path, help="a working tree that is there for this")
    parser.add_argument("--cluster", default="lab", help="a cluster that runs it (%(default)s)")
    parser.add_argument("--times", type=int, default=3, help="how often each (%(default)s)")
    parser.add_argument("components", nargs="*", default=COMPONENTS, help=f"which ({', '.join(COMPONENTS)})")
    args = parser.parse_args()
    tree = working_tree.top(args.source)
    for component in args.components:
        edited = tree / "cmd" / component / "zz_kubev6_edit.go"
        try:
            went_on, by_hand = [], []
            for _ in range(args.times):
                edited.write_text(EDIT.format(uuid4().hex))
                went_on.append(brought(tree, args.cluster))
                by_hand.append(built(tree, args.cluster, component))
        finally:
            with suppress(FileNotFoundError):
                edited.unlink()
        ours, go = median(went_on), median(by_hand)
        print(
            f"{component}: {ours:.1f} s to the proof, `go build` alone {go:.1f} s; goal {2 * go + 20:.1f} s", flush=True
        )


def brought(tree: Path, cluster: str) -> float:
    """Seconds of `kubev6 dev`."""
    began = time.monotonic()
    words = [sys.executable, "-m", "kubev6", "dev", "--source", str(tree), "--cluster", cluster, "--no-progress"]
    done = subprocess.run(words, cwd=REPO, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return time.monotonic() - began


def built(tree: Path, cluster: str, component: str) -> float:
    """Seconds of `go build`, after one that has compiled what differs from what the makefiles compile."""
    release = choose.working_tree(load_cluster(cluster), str(tree), "").release
    source = build.obtain_source(release, {}, "")
    picked = build.pick_series(release, source, "")
    tools = build.ready_tools(release, source, picked)
    cache = go_cache.go_cache(tools.compiler.cache).resolve()
    edited = f"cmd/{component}/zz_kubev6_edit.go"
    script = f"""
cd {compile.TREE}
once() {{ go build {FLAGS} -o /tmp/made ./cmd/{component}; }}
once
sed -i 's/"KUBEV6_EDIT", "/"KUBEV6_EDIT", "x/' {edited}
began=$(date +%s%N)
once
echo "took $(( $(date +%s%N) - began ))"
sed -i 's/"KUBEV6_EDIT", "x/"KUBEV6_EDIT", "/' {edited}
"""
    said: list[str] = []
    toolchain.run(
        tools.compiler.image,
        ["bash", "-euc", script],
        name="go build",
        mounts={check_out(picked, source): compile.TREE, cache: compile.CACHE},
        environment={**compile.ENVIRONMENT, **tools.compiler.environment},
        as_caller=True,
        deadline=900,
        on_line=said.append,
    )
    return next(int(line.split()[1]) / 1e9 for line in said if line.startswith("took "))


if __name__ == "__main__":
    main()
