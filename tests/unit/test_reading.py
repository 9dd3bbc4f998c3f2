"""What a YAML file may hold, and that what it may not is one short line with the file, the line and the field."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.schema.loading import load_cluster, load_release
from configs.schema.reading import read_yaml
from tasks.release.series import series_file

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{','.join([f'*{chr(97 + n)}'] * 10)}]}}\n" for n in range(9)
)
ODD = {
    "hexadecimal without digits": (b"name: 0x_\n", "name"),
    "5000 digits": (b"name: " + b"9" * 5000, "name (line 1): a number of 5000 digits"),
    "a mark that does not fit": (b"name: !!int abc\n", "name (line 1): is marked '!!int'"),
    "a mark of a date": (b"name: !!timestamp abc\n", "name (line 1): is marked '!!timestamp'"),
    "a mark of Python": (b"name: !!python/object/apply:os.system [x]\n", "name (line 1): is marked"),
    "a mark of a set": (b"nodes: !!set {a, b}\n", "nodes (line 1): is marked '!!set'"),
    "brackets in brackets": (b"name: " + b"[" * 1000 + b"]" * 1000, "name[0][0]"),
    "very many brackets": (b"name: " + b"[" * 100_000, "more than 32 lists and mappings in one another"),
    "mappings in mappings": (b"name: " + b"{a: " * 1000, "name.a.a.a"),
    "laughs": (LAUGHS.encode() + b"name: *j\n", "comes to more than 200000 values"),
    "merges of merges": (MERGES.encode() + b"name: *j\n", "comes to more than 200000 values"),
    "an alias of itself": (b"name: &a [*a]\n", "name[0] (line 1): *a stands for nothing that ends before it"),
    "an alias of nothing": (b"name: *b\n", "name (line 1): *b stands for nothing"),
    "a merge of no mapping": (b"ssh:\n  <<: [1]\n", "ssh.<< (line 2): merges something that is no mapping"),
    "a key twice": (
        b"name: a\nssh:\n  port: 1\n  user: b\n  port: 2\n",
        "ssh.port (line 5): stands there twice, in line 3",
    ),
    "a key that is a list": (b"? [a]\n: b\n", "line 1: a key that is no text"),
    "an escape": (b'name: "a\\x1b[2Jb"\n', "name (line 1): holds U+001B"),
    "a NUL": (b'name: "a\\0b"\n', "name (line 1): holds U+0000"),
    "a bidirectional sign": ("description: a\u202eb\n".encode(), "description (line 1): holds U+202E"),
    "a bidirectional sign in a key": ("n\u2066ame: b\n".encode(), "'n\\u2066ame' (line 1): holds U+2066"),
    "a NUL as it is": (b"name: a\0b\n", "is not YAML"),
    "two documents": (b"name: a\n---\nname: b\n", "line 2: another document begins there"),
    "no UTF-8": (b"name: \xff\n", "is not text (UTF-8)"),
    "too many bytes": (b"#" * (5 << 20), "is larger than 4 MiB"),
    "a long value": (b"name: " + b"a" * 100_000, "name: 'aaa"),
    "a long key": (b"a" * 1000 + b": 1\n", "no such key"),
    "very many keys that nobody knows": (b"".join(b"k%d: 1\n" % number for number in range(60_000)), "k0: no such key"),
    "the same mistake very often": (
        b"patches: [" + b"7," * 20_000 + b"]\nnodes: [" + b"7," * 20_000 + b"]\n",
        "more mistakes",
    ),
}


@pytest.mark.parametrize("load", [load_cluster, load_release, series_file.load], ids=["cluster", "release", "series"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, load: Callable[[Path], object]) -> None:
    path = tmp_path / "file.yaml"
    os.mkfifo(path)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(raised.value) == f"{path}: is no file that can be read again; write it into one"


@pytest.mark.parametrize("load", [load_cluster, load_release, series_file.load], ids=["cluster", "release", "series"])
@pytest.mark.parametrize("what", ODD)
def test_an_odd_file_is_refused_in_one_short_line(tmp_path: Path, load: Callable[[Path], object], what: str) -> None:
    content, told = ODD[what]
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    began = time.process_time()

    with pytest.raises(ConfigError) as raised:
        load(path)

    said = str(raised.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    assert len(said) < 4000
    assert said.isprintable()
    assert time.process_time() - began < 5
    if load is load_cluster:
        assert told in said


def test_words_without_quotes_mean_what_yaml_1_2_says(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    text = "[no, on, 2026-11-26, 2021-13-45, 20:01:10:20, 1_000, 0x_, 0017, 0o17, 0x1F, true, null, ~, 1.5, !!str 7]"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())

    assert read_yaml(path) == [
        *("no", "on", "2026-11-26", "2021-13-45", "20:01:10:20", "1_000", "0x_"),
        *(17, 15, 31, True, None, None, 1.5, "7"),
    ]


def test_aliases_and_merge_keys_are_read_and_what_a_mapping_says_itself_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a: &a {user: x, port: 1}\nb: {<<: [{port: 3}, *a], user: y}\nc: *a\nno: 1\n")

    assert read_yaml(path) == {
        "a": {"user": "x", "port": 1},
        "b": {"user": "y", "port": 3},
        "c": {"user": "x", "port": 1},
        "no": 1,
    }


def test_a_name_that_no_path_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_cluster("a\0b.yaml")
