"""From YAML, parameters and command lines to typed data classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception.errors import ConfigError
from seg_perception.schema import check_range, flatten, from_mapping, option, read_yaml, replaced


@dataclass(frozen=True)
class Inner:
    share: float = option(0.5, "a share", ge=0, le=1)
    mode: str = option("slow", choices=("slow", "fast"))


@dataclass(frozen=True)
class Outer:
    name: str
    count: int = option(1, "how many", ge=1, le=9, live=False)
    on: bool = False
    size: tuple[int, int] = (1, 2)
    tags: tuple[str, ...] = ()
    kind: Literal["stuff", "thing"] = "stuff"
    parent: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()


FULL = {
    "name": "n",
    "count": 3,
    "on": True,
    "size": [4, 5],
    "tags": ["a", "b"],
    "kind": "thing",
    "parent": None,
    "shares": {"x": 1},
    "inner": {"share": 1, "mode": "fast"},
    "many": [{"share": 0.25}],
}


def test_everything_is_converted() -> None:
    built = from_mapping(Outer, FULL, "f.yaml")
    assert built == Outer(
        "n", 3, True, (4, 5), ("a", "b"), "thing", None, {"x": 1.0}, Inner(1.0, "fast"), (Inner(0.25),)
    )
    assert isinstance(built.inner.share, float)
    assert isinstance(built.shares["x"], float)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"colour": 1}, "f.yaml: unknown key 'colour'; expected name, count, on"),
        ({"count": "3"}, "f.yaml: count: expected a whole number, found str '3'"),
        ({"count": 1.5}, "f.yaml: count: expected a whole number, found float 1.5"),
        ({"count": True}, "f.yaml: count: expected a whole number, found bool True"),
        ({"count": None}, "f.yaml: count: expected a whole number, found nothing"),
        ({"count": 10}, "f.yaml: count: 10 is outside 1..9"),
        ({"on": 1}, "f.yaml: on: expected true or false, found int 1"),
        ({"name": False}, "f.yaml: name: expected text, found bool False"),
        ({"size": [1]}, "f.yaml: size: expected 2 values, found 1"),
        ({"size": 7}, "f.yaml: size: expected a list, found int 7"),
        ({"tags": "abc"}, "f.yaml: tags: expected a list, found str 'abc'"),
        ({"tags": ["a", 2]}, "f.yaml: tags: expected text, found int 2"),
        ({"kind": "both"}, "f.yaml: kind: 'both' is not one of stuff, thing"),
        ({"kind": ["stuff"]}, "f.yaml: kind: ['stuff'] is not one of stuff, thing"),
        ({"shares": [1]}, "f.yaml: shares: expected keys and values, found list [1]"),
        ({"shares": {"x": "much"}}, "f.yaml: shares: x: expected a number, found str 'much'"),
        ({"shares": {"x": 10**400}}, "f.yaml: shares: x: expected a number"),
        ({"inner": {"share": 1.1}}, "f.yaml: inner: share: 1.1 is outside 0..1"),
        ({"inner": {"share": float("nan")}}, "f.yaml: inner: share: nan is outside 0..1"),
        ({"inner": {"mode": "mad"}}, "f.yaml: inner: mode: 'mad' is not one of slow, fast"),
        ({"inner": None}, "f.yaml: inner: expected keys and values, found nothing"),
        ({"many": [{"share": 2}]}, "f.yaml: many: share: 2.0 is outside 0..1"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_mapping(Outer, FULL | changes, "f.yaml")
    assert str(error.value).startswith(complaint)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"f\.yaml: the key 'name' is missing"):
        from_mapping(Outer, {"count": 1}, "f.yaml")


def test_a_long_value_is_not_quoted_whole() -> None:
    with pytest.raises(ConfigError) as error:
        from_mapping(Outer, FULL | {"count": list(range(10_000))}, "f.yaml")
    assert len(str(error.value)) < 150


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.one_of(
        ANYTHING, st.fixed_dictionaries({"name": st.text()}, optional=dict.fromkeys(FULL.keys() - {"name"}, ANYTHING))
    )
)
def test_any_content_is_built_or_refused(content: Any) -> None:
    try:
        outcome: Outer | str = from_mapping(Outer, content, "f.yaml")
    except ConfigError as error:
        outcome = str(error)
    assert isinstance(outcome, Outer) or outcome.startswith("f.yaml: ")


def test_range_with_one_end() -> None:
    spec = next(opt for name, _, _, opt in flatten(Inner()) if name == "share")
    check_range(1, "x", spec)
    with pytest.raises(ConfigError, match=r"x: -1 is outside 0\.\.1"):
        check_range(-1, "x", spec)
    open_end = option(0, ge=0).metadata["option"]
    check_range(10**9, "x", open_end)
    with pytest.raises(ConfigError, match=r"outside 0\.\.inf"):
        check_range(-1, "x", open_end)


def test_flatten_names_every_leaf_with_its_option() -> None:
    leaves = {name: (value, opt) for name, _, value, opt in flatten(from_mapping(Outer, FULL, "f"))}
    assert leaves["inner.share"][0] == 1.0
    assert leaves["inner.mode"][1].choices == ("slow", "fast")
    assert leaves["count"][1].help == "how many"
    assert not leaves["count"][1].live
    assert leaves["name"][1].live


def test_replaced_changes_all_or_nothing() -> None:
    before = from_mapping(Outer, FULL, "f")
    after = replaced(before, {"inner.share": 0.0, "count": 2}, "parameters")
    assert (after.inner.share, after.inner.mode, after.count) == (0.0, "fast", 2)
    assert after == replaced(after, {}, "parameters")
    for wrong in ({"inner.shares": 0.0}, {"outer": 1}, {"count.x": 1}, {"inner": 3}, {"count": 2, "inner.share": 2}):
        with pytest.raises(ConfigError, match="parameters: "):
            replaced(before, wrong, "parameters")
    assert before == from_mapping(Outer, FULL, "f")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [1", "expected ',' or ']'"),
        ("a: 1\nb: 2\na: 3", "the key 'a' is given twice"),
        ("a: {x: 1, x: 2}", "the key 'x' is given twice"),
        ("a: 2001-13-45", "month must be in 1..12"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("[" * 5000, "recursion"),
    ],
)
def test_bad_yaml_is_refused_with_its_file(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_yaml(path)
    assert str(error.value).startswith(f"{path}: cannot be read as YAML: ")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    for path in (tmp_path / "absent.yaml", tmp_path / "latin.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read as YAML"):
            read_yaml(path)


def test_merge_keys_may_overlap(tmp_path: Path) -> None:
    path = tmp_path / "merge.yaml"
    path.write_text("base: &b {x: 1, y: 2}\nmine:\n  <<: *b\n  x: 3\n")
    assert read_yaml(path)["mine"] == {"x": 3, "y": 2}
