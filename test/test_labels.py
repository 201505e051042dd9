"""Label spaces: what ships is true and safe, what is wrong is refused, mappings do what they say."""

from __future__ import annotations

import copy
import json
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_perception import resources
from seg_perception.errors import ConfigError
from seg_perception.labels import VOID, LabelSpace, normalised, remap
from seg_perception.schema import read_yaml
from seg_perception.types import UNLABELLED

SIZES = {
    "ade20k": 150,
    "camvid": 11,
    "cityscapes": 19,
    "coco": 80,
    "coco_panoptic": 133,
    "navigation": 20,
    "voc": 21,
}
SPACES = {name: LabelSpace.load(name) for name in SIZES}
NAVIGATION = SPACES["navigation"]

# Everything that a wheel may roll on, by hand: whatever else a space has can be hit (or is sky, or background).
GROUND = {
    "road", "sidewalk", "pavement", "floor", "terrain", "ground",
    "grass", "earth", "rug", "field", "sand", "path", "runway", "dirt_track", "land",
    "floor_wood", "floor_other_merged", "rug_merged", "pavement_merged",
    "gravel", "playingfield", "snow", "grass_merged", "dirt_merged",
}  # fmt: skip
DRIVABLE = {"road", "floor", "rug", "floor_wood", "floor_other_merged", "rug_merged"}
NOTHING = {"sky", "sky_other_merged", "background"}


def names(space: LabelSpace) -> list[str]:
    return [c.name for c in space.classes]


def partial(source: LabelSpace, target: LabelSpace) -> tuple[np.ndarray, list[str]]:
    """The table between two whole spaces, and the classes that it has to leave out."""
    try:
        return remap(source, names(source), target), []
    except ConfigError as error:
        homeless = str(error).split("': ", 1)[1].split(". Give")[0].split(", ")
        return remap(source, names(source), target, void=homeless), homeless


# ---------------------------------------------------------------------------------------------- what ships


def test_all_of_them_ship() -> None:
    assert resources.names("labels") == sorted(SIZES)
    assert {name: len(space) for name, space in SPACES.items()} == SIZES
    assert all(space.name == name for name, space in SPACES.items())


@pytest.mark.parametrize("name", SIZES)
def test_what_can_be_hit_costs_and_is_an_obstacle(name: str) -> None:
    space = SPACES[name]
    obstacle, drivable = space.group_table("obstacle"), None
    if "drivable" in space.groups:
        drivable = space.group_table("drivable")
        assert drivable[UNLABELLED] == 0
        assert space.group_table("traversable")[UNLABELLED] == 0
    assert obstacle[UNLABELLED] == 255
    for entry in space.classes:
        key = normalised(entry.name)
        free = key in GROUND
        assert (obstacle[entry.id] == 255) == (not free and key not in NOTHING - {"background"}), entry.name
        assert entry.cost == (-1 if key in NOTHING else entry.cost if free else 100), entry.name
        assert not free or 0 <= entry.cost <= 50
        if drivable is not None:
            assert (drivable[entry.id] == 255) == (key in DRIVABLE), entry.name
            assert (space.group_table("traversable")[entry.id] == 255) == free, entry.name
        if entry.kind == "thing":
            assert not free


@pytest.mark.parametrize(("source", "target"), list(permutations(SIZES, 2)))
def test_no_mapping_makes_anything_safer_than_it_is(source: str, target: str) -> None:
    a, b = SPACES[source], SPACES[target]
    table, _ = partial(a, b)
    obstacle, after = a.group_table("obstacle"), b.group_table("obstacle")
    for entry in a.classes:
        home = table[entry.id]
        if home == UNLABELLED:
            continue
        assert b.classes[home].cost == entry.cost, (entry.name, b.classes[home].name)
        assert obstacle[entry.id] == after[home], (entry.name, b.classes[home].name)
        for group in a.groups.keys() & b.groups.keys() - {"obstacle"}:
            assert a.group_table(group)[entry.id] == b.group_table(group)[home], (group, entry.name)


@pytest.mark.parametrize("name", SIZES)
def test_every_space_maps_into_navigation_without_help(name: str) -> None:
    space = SPACES[name]
    table = remap(space, names(space), NAVIGATION)
    homeless = {c.name for c in space.classes if table[c.id] == UNLABELLED}
    assert homeless == ({"background"} if name == "voc" else set())
    assert (table[len(space) :] == UNLABELLED).all()
    for entry in space.classes:
        if table[entry.id] != UNLABELLED:
            assert entry.priority == NAVIGATION.priorities[table[entry.id]], entry.name


@pytest.mark.parametrize("name", ["cityscapes", "camvid", "coco", "coco_panoptic", "voc"])
def test_things_stay_things_in_navigation(name: str) -> None:
    # ADE20K also counts doors, fences and windows as things, which navigation takes as structure.
    space = SPACES[name]
    table = remap(space, names(space), NAVIGATION)
    for entry in space.classes:
        assert entry.kind == "stuff" or NAVIGATION.things[table[entry.id]], entry.name


def test_what_moves_stays_a_thing_from_ade20k() -> None:
    space = SPACES["ade20k"]
    table = remap(space, names(space), NAVIGATION)
    for member in ("person", "vehicle", "animal", "object"):
        for entry in space.classes:
            if entry.kind == "thing" and member in space.chain(entry.name):
                assert NAVIGATION.things[table[entry.id]], entry.name


@pytest.mark.parametrize(
    ("space", "name", "home"),
    [
        ("cityscapes", "train", "vehicle"),
        ("cityscapes", "traffic light", "sign"),
        ("cityscapes", "wall", "wall"),
        ("coco", "bicycle", "bicycle"),
        ("coco", "motorcycle", "vehicle"),
        ("coco", "stop sign", "sign"),
        ("coco", "giraffe", "animal"),
        ("coco", "couch", "furniture"),
        ("coco", "potted plant", "object"),
        ("coco_panoptic", "pavement-merged", "sidewalk"),
        ("coco_panoptic", "playingfield", "terrain"),
        ("coco_panoptic", "platform", "building"),
        ("coco_panoptic", "railroad", "building"),
        ("coco_panoptic", "stairs", "building"),
        ("coco_panoptic", "rug-merged", "floor"),
        ("coco_panoptic", "sea", "water"),
        ("camvid", "Bicyclist", "rider"),
        ("camvid", "Tree", "vegetation"),
        ("ade20k", "runway", "terrain"),
        ("ade20k", "pier", "building"),
        ("ade20k", "streetlight", "pole"),
        ("ade20k", "ship", "vehicle"),
        ("ade20k", "minibike", "vehicle"),
        ("ade20k", "swivel chair", "furniture"),
        ("voc", "sofa", "furniture"),
        ("voc", "aeroplane", "vehicle"),
    ],
)
def test_homes_in_navigation(space: str, name: str, home: str) -> None:
    assert names(NAVIGATION)[remap(SPACES[space], [name], NAVIGATION)[0]] == home


def test_the_rendered_worlds_classes_are_in_navigation() -> None:
    stuff = ["road", "sidewalk", "terrain", "building", "vegetation", "pole", "sky"]
    world = [*stuff, "person", "vehicle", "rider", "animal", "cone", "box"]
    table = remap(NAVIGATION, world, NAVIGATION)
    assert len(set(table[: len(world)].tolist())) == len(world)
    assert [NAVIGATION.classes[i].kind for i in table[:13]] == ["stuff"] * 7 + ["thing"] * 6


def test_people_come_first() -> None:
    order = ("person", "rider", "vehicle", "bicycle", "animal", "cone", "object", "sign", "road")
    priorities = [int(NAVIGATION.priorities[NAVIGATION.id(n)]) for n in order]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == len(priorities)
    assert all(c.priority > 0 for s in SPACES.values() for c in s.classes if c.kind == "thing" and s.name != "ade20k")


def test_hierarchies_agree_between_spaces() -> None:
    """One name means one thing: the parent of a shared ancestor, and the home of a shared class name, is the same."""
    for (_, a), (_, b) in permutations(SPACES.items(), 2):
        for ancestor in a.ancestors.keys() & b.ancestors.keys():
            assert a.ancestors[ancestor] == b.ancestors[ancestor], (a.name, b.name, ancestor)
        for shared in a.ids.keys() & b.ids.keys():
            homes = [remap(s, [shared], NAVIGATION)[0] for s in (a, b)]
            assert homes[0] == homes[1], (a.name, b.name, shared)


def test_vehicles_are_vehicles() -> None:
    for space in SPACES.values():
        vehicles = {normalised(names(space)[i]) for i in np.flatnonzero(space.group_table("vehicle")[: len(space)])}
        assert vehicles == {normalised(n) for n in names(space)} & {
            "vehicle", "car", "truck", "bus", "train", "motorcycle", "bicycle", "airplane", "boat",
            "van", "ship", "minibike", "aeroplane", "motorbike",
        }  # fmt: skip


def test_mappings_by_name_between_data_sets() -> None:
    coco, city, voc, camvid = (SPACES[n] for n in ("coco", "cityscapes", "voc", "camvid"))
    table, homeless = partial(city, coco)
    assert names(coco)[table[city.id("rider")]] == "person"
    assert "road" in homeless
    assert "car" not in homeless
    assert partial(voc, coco)[1] == []
    assert partial(camvid, city)[1] == []
    assert partial(coco, SPACES["coco_panoptic"])[1] == []
    assert names(city)[remap(camvid, ["Bicyclist"], city)[0]] == "rider"
    assert names(city)[remap(SPACES["ade20k"], ["van"], city)[0]] == "car"


def test_coco_is_the_data_sets_own(data: Path) -> None:
    official = json.loads((data / "coco_panoptic" / "panoptic_coco_categories.json").read_text())
    for name, entries in (("coco_panoptic", official), ("coco", [e for e in official if e["isthing"]])):
        ours = [(c.name, c.kind == "thing", list(c.colour)) for c in SPACES[name].classes]
        assert ours == [(e["name"], bool(e["isthing"]), e["color"]) for e in entries]


def test_voc_colours_follow_the_development_kits_rule() -> None:
    for entry in SPACES["voc"].classes:
        bits = [[entry.id >> (3 * j + channel) & 1 for j in range(3)] for channel in range(3)]
        assert entry.colour == tuple(sum(bit << (7 - j) for j, bit in enumerate(row)) for row in bits)


# ---------------------------------------------------------------------------------------------- one space


SMALL: dict[str, Any] = {
    "name": "small",
    "classes": [
        {"id": 0, "name": "Road", "kind": "stuff", "parent": "ground", "cost": 0, "colour": [1, 2, 3]},
        {"id": 1, "name": "car", "kind": "thing", "parent": "vehicle", "colour": [4, 5, 6], "aliases": ["auto-mobile"]},
        {"id": 2, "name": "taxi", "kind": "thing", "parent": "car", "colour": [4, 5, 7]},
        {"id": 3, "name": "background", "kind": "stuff", "parent": "void", "colour": [0, 0, 0]},
    ],
    "ancestors": {"ground": None, "obstacle": None, "vehicle": "obstacle"},
    "groups": {"vehicle": {"members": ["vehicle"], "unlabelled": False}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """``SMALL`` with the value at a dotted path replaced."""
    content = copy.deepcopy(SMALL)
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    node: Any = content
    for part in parents:
        node = node[part]
    node[last] = value
    return content


def test_tables() -> None:
    space = LabelSpace.parse(SMALL, "small")
    assert space.things.dtype == np.bool_
    assert space.things.nonzero()[0].tolist() == [1, 2]
    assert space.colours.shape == (256, 3)
    assert space.colours[[2, 255]].tolist() == [[4, 5, 7], [0, 0, 0]]
    assert list(space.chain("AUTO MOBILE")) == ["car", "auto_mobile", "vehicle", "obstacle"]
    assert space.id("auto_mobile") == 1
    with pytest.raises(ConfigError, match="label space 'small' has no class 'tram'; it has Road, car"):
        space.id("tram")


@pytest.mark.parametrize("unlabelled", [False, True])
@pytest.mark.parametrize(
    ("member", "ids"), [("vehicle", {1, 2}), ("car", {1, 2}), ("auto mobile", {1, 2}), ("taxi", {2}), ("ROAD", {0})]
)
def test_a_group_is_its_members_and_their_descendants(member: str, ids: set[int], unlabelled: bool) -> None:
    space = LabelSpace.parse(changed("groups.vehicle", {"members": [member], "unlabelled": unlabelled}), "small")
    table = space.group_table("vehicle")
    assert set(table.tolist()) <= {0, 255}
    assert set(table[:4].nonzero()[0].tolist()) == ids
    # Ids that no class has count as unlabelled too.
    assert (table[4:] == 255 * unlabelled).all()


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(ConfigError, match="label space 'small' has no group 'people'; it has vehicle"):
        LabelSpace.parse(SMALL, "small").group_table("people")


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("classes", [], "has 0 classes, expected 1 to 254"),
        ("classes.1.id", 2, "class 'car' has id 2, expected 1: ids count 0..N-1, no gaps"),
        ("classes.1.colour", [0, 0, 256], "class 'car': colour [0, 0, 256] is not three numbers in 0..255"),
        ("classes.1.colour", [0, 0], "classes: colour: expected 3 values, found 2"),
        ("classes.1.cost", 101, "class 'car': cost 101 is not in -1..100"),
        ("classes.1.priority", -1, "class 'car': priority -1 is not in 0..255"),
        ("classes.1.priority", 256, "class 'car': priority 256 is not in 0..255"),
        ("classes.1.kind", "object", "kind: 'object' is not one of stuff, thing"),
        ("classes.1.name", "road", "the name or alias 'road' is used twice"),
        ("classes.1.aliases", ["taxi"], "the name or alias 'taxi' is used twice"),
        ("classes.1.name", "--", "'' cannot be the name or alias of a class"),
        ("classes.1.name", "Void", "'void' cannot be the name or alias of a class"),
        (
            "classes.1.parent",
            "vehcle",
            "the parent 'vehcle' of 'car' is neither a class nor declared under 'ancestors:'",
        ),
        ("classes.1.parent", "taxi", "the parents of 'car' run in a circle at 'car'"),
        ("classes.1.parent", "car", "the parents of 'car' run in a circle at 'car'"),
        ("ancestors.obstacle", "vehicle", "run in a circle at"),
        ("ancestors.vehicle", "obstcle", "the parent 'obstcle' of 'vehicle' is neither a class nor declared"),
        ("ancestors.car", None, "'car' is a class; it cannot be one of the ancestors as well"),
        ("groups.Vehicle", {"members": ["car"]}, "group 'Vehicle': the name becomes a topic"),
        ("groups.vehicle.members", ["tram"], "group 'vehicle': 'tram' is neither a class nor an ancestor of one"),
        ("groups.vehicle.members", ["ground", "tram"], "group 'vehicle': 'tram' is neither"),
        ("kind", "stuff", "unknown key 'kind'"),
    ],
)
def test_wrong_spaces_are_refused(path: str, value: Any, complaint: str) -> None:
    LabelSpace.parse(SMALL, "small")
    with pytest.raises(ConfigError) as error:
        LabelSpace.parse(changed(path, value), "small.yaml")
    assert complaint in str(error.value)
    assert "small.yaml" in str(error.value)


def test_255_classes_are_too_many() -> None:
    classes = [{"id": i, "name": f"c{i}", "kind": "stuff", "colour": [0, 0, 0]} for i in range(255)]
    LabelSpace.parse({"name": "most", "classes": classes[:254]}, "most")
    with pytest.raises(ConfigError, match="has 255 classes, expected 1 to 254"):
        LabelSpace.parse({"name": "more", "classes": classes}, "more")


def test_names_of_any_script() -> None:
    assert normalised(" Traffic-Light ") == normalised("traffic_light") == "traffic_light"
    assert normalised("道路") == "道路"
    assert normalised("Straße") == normalised("STRASSE")


def test_a_path_is_loaded_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(SMALL))
    assert LabelSpace.load(path).version == LabelSpace.parse(SMALL, "elsewhere").version
    with pytest.raises(ConfigError, match="no 'mine' among the shipped ones"):
        LabelSpace.load("mine")


# ---------------------------------------------------------------------------------------------- version


def test_the_version_is_stable() -> None:
    assert LabelSpace.parse(SMALL, "small").version == "620919288737"
    reordered = dict(reversed(list(SMALL.items())))
    reordered["ancestors"] = dict(reversed(list(SMALL["ancestors"].items())))
    assert LabelSpace.parse(reordered, "small").version == "620919288737"


CHANGES: list[tuple[str, Any]] = [
    ("name", "smaller"),
    ("description", "x"),
    ("classes.0.name", "street"),
    ("classes.0.kind", "thing"),
    ("classes.0.colour", [1, 2, 4]),
    ("classes.0.parent", "obstacle"),
    ("classes.0.priority", 1),
    ("classes.0.cost", 1),
    ("classes.0.aliases", ["street"]),
    ("ancestors.ground", "obstacle"),
    ("ancestors.more", None),
    ("groups.vehicle.members", ["car"]),
    ("groups.vehicle.unlabelled", True),
    ("groups.more", {"members": ["car"]}),
]


def test_every_change_changes_the_version() -> None:
    versions = {LabelSpace.parse(changed(*change), "small").version for change in CHANGES}
    assert len(versions | {LabelSpace.parse(SMALL, "small").version}) == len(CHANGES) + 1


def test_shipped_versions_differ() -> None:
    assert len({space.version for space in SPACES.values()}) == len(SPACES)


# ---------------------------------------------------------------------------------------------- remap


def test_every_homeless_class_is_listed() -> None:
    coco, city = SPACES["coco"], SPACES["cityscapes"]
    with pytest.raises(ConfigError) as error:
        remap(coco, names(coco), city, where="yolo.yaml")
    homeless = [n for n in names(coco) if set(coco.chain(n)).isdisjoint(city.ids)]
    assert len(homeless) > 60
    assert str(error.value).startswith(
        f"yolo.yaml: {len(homeless)} of 80 classes have no home in 'cityscapes': {', '.join(homeless)}. Give each"
    )


def test_channels_overrides_and_void() -> None:
    coco, city = SPACES["coco"], SPACES["cityscapes"]
    model = ["nothing", "Person", "boat", "aeroplane", "car"]
    table = remap(coco, model, city, overrides={"boat": "truck", "nothing": "SKY"}, void=["Aeroplane"])
    assert table[:5].tolist() == [city.id("sky"), city.id("person"), city.id("truck"), 255, city.id("car")]
    assert table.shape == (256,)
    assert table.dtype == np.uint8


def test_void_ancestors_are_unlabelled_unless_the_target_has_them() -> None:
    voc = SPACES["voc"]
    assert remap(voc, ["background"], SPACES["ade20k"])[0] == UNLABELLED
    assert remap(voc, names(voc), voc)[:21].tolist() == list(range(21))
    assert VOID in voc.chain("background")


@pytest.mark.parametrize(
    ("model", "options", "complaint"),
    [
        (["car", "tram"], {}, "m.yaml: tram: not in the model's label space 'coco' and not listed under 'void:'"),
        (
            ["car"],
            {"void": ["viod"]},
            "m.yaml: viod: named under 'map:', 'void:' or 'optional:' but not a class of the model (car)",
        ),
        (
            ["car"],
            {"overrides": {"bus": "car"}},
            "m.yaml: bus: named under 'map:', 'void:' or 'optional:' but not a class",
        ),
        (["car"], {"overrides": {"car": "tram"}}, "m.yaml: tram: not in 'cityscapes' (road, sidewalk"),
        (["car"] * 257, {}, "m.yaml: the model has 257 classes, expected at most 256"),
    ],
)
def test_mappings_with_strangers_are_refused(model: list[str], options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as error:
        remap(SPACES["coco"], model, SPACES["cityscapes"], where="m.yaml", **options)
    assert str(error.value).startswith(complaint)


@settings(deadline=None)
@given(st.sampled_from(sorted(SIZES)), st.sampled_from(sorted(SIZES)), st.randoms(use_true_random=False))
def test_the_order_of_channels_does_not_matter(source: str, target: str, random: Any) -> None:
    a, b = SPACES[source], SPACES[target]
    table, homeless = partial(a, b)
    shuffled = names(a)
    random.shuffle(shuffled)
    other = remap(a, shuffled, b, void=homeless)
    assert [other[shuffled.index(n)] for n in names(a)] == table[: len(a)].tolist()


@pytest.mark.parametrize(("source", "target"), list(product(SIZES, repeat=2)))
def test_a_home_is_a_name_or_an_ancestor(source: str, target: str) -> None:
    a, b = SPACES[source], SPACES[target]
    table, homeless = partial(a, b)
    for entry in a.classes:
        upwards = list(a.chain(entry.name))
        reachable = [b.ids[n] for n in upwards if n in b.ids]
        expected = reachable[0] if reachable else UNLABELLED
        assert table[entry.id] == expected
        assert (entry.name in homeless) == (not reachable and VOID not in upwards)


def test_files_are_written_as_documented() -> None:
    for name in SIZES:
        content = read_yaml(resources.find("labels", name))
        assert list(content) == ["name", "description", "classes", "ancestors", "groups"]
        assert all("unlabelled" in group for group in content["groups"].values())
        assert all("cost" in entry for entry in content["classes"])


# ---------------------------------------------------------------------------------------------- what is written


def rows(header: str) -> list[list[str]]:
    """The cells of the table in docs/labels.md whose header line starts like this."""
    text = (Path(__file__).parents[1] / "docs" / "labels.md").read_text(encoding="utf-8")
    table = text.split(f"\n{header}", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in table]


def test_the_documented_navigation_space_is_the_real_one() -> None:
    real = [[c.id, c.name, c.kind, c.priority, c.cost] for c in NAVIGATION.classes]
    assert [row[:5] for row in rows("| id | class |")] == [[str(cell) for cell in row] for row in real]


def test_the_documented_spaces_and_groups_are_the_real_ones() -> None:
    assert {row[0].strip("`"): int(row[1]) for row in rows("| space |")} == SIZES
    assert [row[0].strip("`") for row in rows("| group |")] == list(NAVIGATION.groups)


def test_the_documented_homeless_are_the_real_ones() -> None:
    table = rows(r"| from \ to |")
    order = [row[0] for row in table]
    assert sorted(order) == sorted(SIZES)
    for row in table:
        counts = [len(partial(SPACES[row[0]], SPACES[target])[1]) for target in order]
        assert [cell if cell != "·" else "0" for cell in row[1:]] == [str(count) for count in counts], row[0]


def test_the_documented_example_works(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "labels.md").read_text(encoding="utf-8")
    path = tmp_path / "warehouse.yaml"
    path.write_text(text.split("```yaml\n")[1].split("```")[0])
    space = LabelSpace.load(path)
    coco = SPACES["coco"]
    table = remap(coco, names(coco), space)
    assert names(space)[table[coco.id("truck")]] == "forklift"
    assert names(space)[table[coco.id("banana")]] == "thing"
