"""The Hub source, by the real client, on repositories laid out like the published ones."""

import io
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.sources.hub_server import HubRepo
from tropho.data.sources import fetch
from tropho.data.sources.huggingface import choose_tables, split_of
from tropho.errors import DataError, ExternalError, UsageError

BRAIN = "Simezu/brain-tumour-MRI-scan"
OCT = "MaybeRichard/OCT-retina-classification-2017"
CHEST = "trpakov/chest-xray-classification"
SPEC = {"_type": "Image"}


def tree(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "provenance.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def table(rows: list[tuple[bytes | None, str | None, object]], label: object, column: str = "labels") -> bytes:
    """A parquet file as `datasets` writes it: images as bytes and path, features in the metadata."""
    images = pa.array([{"bytes": content, "path": path} for content, path, _ in rows])
    labels = pa.array([value for *_, value in rows])
    arrow = pa.table({"image": images, column: labels})
    if label is not None:
        features = {"info": {"features": {"image": SPEC, column: label}}}
        arrow = arrow.replace_schema_metadata({"huggingface": json.dumps(features)})
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer)
    return buffer.getvalue()


@pytest.fixture
def brain(picture):
    """Image folders, 7,023 in the published set."""
    classes = ("1-notumor", "2-glioma", "3-meningioma", "4-pituitary")
    files = {
        f"{split}/{label}/{prefix}_{number:04d}.jpg": picture([len(split), order, number])
        for split, prefix in (("Training", "Tr"), ("Testing", "Te"))
        for order, label in enumerate(classes)
        for number in range(2 if split == "Training" else 1)
    }
    return {"README.md": b"---\nlicense: mit\n---\n", ".gitattributes": b"*.jpg", **files}


@pytest.fixture
def chest(picture):
    """A script data set: a script on main, parquet in refs/convert/parquet, classes out of alphabet."""
    label = {"names": ["PNEUMONIA", "NORMAL"], "_type": "ClassLabel"}
    splits = {
        "train": [(picture(1), "person12_bacteria_47.jpg", 0), (picture(2), "IM-0115-0001.jpg", 1)],
        "validation": [(picture(3), "person9_virus_1.jpg", 0)],
        "test": [(picture(4), "person1_virus_6.jpg", 0), (picture(5), "IM-0001-0001.jpg", 1)],
    }
    parquet = {f"full/{split}/0000.parquet": table(rows, label) for split, rows in splits.items()}
    mini = {"mini/train/0000.parquet": table(splits["train"][:1], label)}
    main = {"README.md": b"", "chest-xray-classification.py": b"", "thumbnail.jpg": picture(9)}
    return HubRepo({"main": main, "refs/convert/parquet": {**parquet, **mini}})


def test_fetch_keeps_image_folders_as_published(hub, settings, tmp_path, brain):
    hub.repos[BRAIN] = HubRepo({"main": brain})
    provenance = fetch(settings("brain_tumor"), tmp_path / "raw", tmp_path)
    images = {path: content for path, content in brain.items() if path.endswith(".jpg")}
    assert tree(tmp_path / "raw") == images
    assert provenance["commit"] == hub.repos[BRAIN].commit("main")
    assert provenance["files"] == len(images)
    assert json.loads((tmp_path / "raw" / "provenance.json").read_text()) == provenance


def test_fetch_reads_script_set_from_parquet_branch(hub, settings, tmp_path, chest, picture):
    hub.repos[CHEST] = chest
    provenance = fetch(settings("chest_xray"), tmp_path / "raw", tmp_path)
    assert tree(tmp_path / "raw") == {
        "train/PNEUMONIA/person12_bacteria_47.jpg": picture(1),
        "train/NORMAL/IM-0115-0001.jpg": picture(2),
        "validation/PNEUMONIA/person9_virus_1.jpg": picture(3),
        "test/PNEUMONIA/person1_virus_6.jpg": picture(4),
        "test/NORMAL/IM-0001-0001.jpg": picture(5),
    }
    assert provenance["revision"] == "refs/convert/parquet"
    assert provenance["commit"] == chest.commit("refs/convert/parquet")
    assert provenance["images"] == 5
    assert not provenance["partial"]


def test_fetch_unpacks_archive_to_splits(hub, settings, tmp_path, picture):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("OCT2017/train/CNV/CNV-1016042-1.jpeg", picture(1))
        packed.writestr("OCT2017/test/NORMAL/NORMAL-101880-1.jpeg", picture(2))
        packed.writestr("__MACOSX/OCT2017/train/CNV/._CNV-1016042-1.jpeg", b"junk")
    hub.repos[OCT] = HubRepo({"main": {"OCT2017.zip": buffer.getvalue()}})
    provenance = fetch(settings("retina_oct"), tmp_path / "raw", tmp_path)
    assert tree(tmp_path / "raw") == {
        "train/CNV/CNV-1016042-1.jpeg": picture(1),
        "test/NORMAL/NORMAL-101880-1.jpeg": picture(2),
    }
    assert provenance["archives"] == {"OCT2017.zip": 2}


@pytest.mark.parametrize(
    ("archives", "expected"),
    [
        ({"train.zip": "CNV/a.jpg", "test.zip": "CNV/b.jpg"}, {"train/CNV/a.jpg", "test/CNV/b.jpg"}),
        ({"data/train.zip": "train/CNV/a.jpg"}, {"data/train/CNV/a.jpg"}),
        ({"train/CNV.zip": "a.jpg", "train/DME.zip": "b.jpg"}, {"train/CNV/a.jpg", "train/DME/b.jpg"}),
        ({"part1.zip": "CNV/a.jpg", "part2.zip": "CNV/b.jpg"}, {"CNV/a.jpg", "CNV/b.jpg"}),
    ],
)
def test_fetch_keeps_archive_names_of_splits_and_classes(hub, settings, tmp_path, picture, archives, expected):
    files = {}
    for number, (name, inner) in enumerate(archives.items()):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as packed:
            packed.writestr(inner, picture(number))
        files[name] = buffer.getvalue()
    hub.repos[OCT] = HubRepo({"main": files})
    fetch(settings("retina_oct"), tmp_path / "raw", tmp_path)
    assert set(tree(tmp_path / "raw")) == expected


def test_fetch_keeps_paths_beside_label_files(hub, settings, tmp_path, picture):
    files = {"set/images/a.jpg": picture(1), "set/annotations/train.json": b"{}", "README.md": b""}
    hub.repos["some/coco"] = HubRepo({"main": files})
    task = settings("brain_tumor", **{"download.repo": "some/coco"})
    fetch(task, tmp_path / "raw", tmp_path)
    assert set(tree(tmp_path / "raw")) == {"set/images/a.jpg", "set/annotations/train.json"}


def archived(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def test_fetch_unpacks_archives_beside_label_files_in_place(hub, settings, tmp_path, picture):
    files = {
        "train.zip": archived({"0.jpg": picture(1)}),
        "test.zip": archived({"test/0.jpg": picture(2)}),
        "data/train.csv.zip": archived({"train.csv": b"t"}),
    }
    hub.repos["some/tables"] = HubRepo({"main": files})
    provenance = fetch(settings("brain_tumor", **{"download.repo": "some/tables"}), tmp_path / "raw", tmp_path)
    wanted = {"train/0.jpg": picture(1), "test/0.jpg": picture(2), "data/train.csv": b"t"}
    assert tree(tmp_path / "raw") == wanted
    assert provenance["layout"] == "as published"
    assert provenance["files"] == len(wanted)


def test_fetch_unpacks_nested_archives(hub, settings, tmp_path, picture):
    splits = {
        f"{split}.zip": archived({"CNV/1.jpg": picture(number)}) for number, split in enumerate(("train", "test"))
    }
    hub.repos[OCT] = HubRepo({"main": {"all.zip": archived(splits)}})
    fetch(settings("retina_oct"), tmp_path / "raw", tmp_path)
    assert set(tree(tmp_path / "raw")) == {"train/CNV/1.jpg", "test/CNV/1.jpg"}


def test_fetch_names_images_of_a_table_and_quarantines_bad_rows(hub, settings, tmp_path, picture):
    rows = [
        (picture(1), None, "yes"),
        (picture(2, "PNG"), None, "no/never"),
        (picture(3), "../../escape.jpg", "yes"),
        (picture(4), "escape.jpg", "yes"),
        (b"no picture", None, "yes"),
        (None, "absent.jpg", "yes"),
        (picture(5), "unlabelled.jpg", None),
    ]
    text = {"dtype": "string", "_type": "Value"}
    hub.repos["some/table"] = HubRepo({"main": {"data/train-00000-of-00001.parquet": table(rows, text, "label")}})
    task = settings("brain_tumor", **{"download.repo": "some/table"})
    provenance = fetch(task, tmp_path / "raw", tmp_path)
    assert tree(tmp_path / "raw") == {
        "train/yes/000001.jpg": picture(1),
        "train/no_never/000002.png": picture(2, "PNG"),
        "train/yes/escape.jpg": picture(3),
        "train/yes/escape-2.jpg": picture(4),
    }
    assert [row["row"] for row in provenance["quarantined"]] == [5, 6, 7]


def test_fetch_takes_class_names_from_card(hub, settings, tmp_path, picture):
    card = """---
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': benign
          '1': malignant
---
"""
    content = table([(picture(1), "a.jpg", 1)], None, "label")
    hub.repos["some/card"] = HubRepo({"main": {"README.md": card.encode(), "data/test.parquet": content}})
    task = settings("brain_tumor", **{"download.repo": "some/card"})
    fetch(task, tmp_path / "raw", tmp_path)
    assert set(tree(tmp_path / "raw")) == {"test/malignant/a.jpg"}
    hub.repos["some/card"].revisions["bare"] = {"data/test.parquet": content}
    with pytest.raises(DataError, match="does not name its classes"):
        fetch(settings("brain_tumor", **{"download.repo": "some/card", "download.revision": "bare"}),
              tmp_path / "bare", tmp_path)  # fmt: skip


def test_fetch_continues_broken_download(hub, settings, tmp_path, brain, waits):
    hub.repos[BRAIN] = HubRepo({"main": brain}, breaks_at="Testing/1-notumor/Te_0000.jpg")
    with pytest.raises(ExternalError, match="broke off; run again"):
        fetch(settings("brain_tumor"), tmp_path / "raw", tmp_path)
    assert not (tmp_path / "raw").exists()
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    first = {key for key in hub.requests if key.startswith("GET") and "/resolve/" in key}
    hub.requests.clear()
    hub.repos[BRAIN].breaks_at = None
    fetch(settings("brain_tumor"), tmp_path / "raw", tmp_path)
    assert len(tree(tmp_path / "raw")) == 12
    again = {key for key in hub.requests if key.startswith("GET") and key.endswith(".jpg")}
    assert "Testing/1-notumor/Te_0000.jpg" in " ".join(again)
    assert len(again) + len(first) < 2 * len(brain), "files that had come were fetched twice"


@pytest.mark.parametrize(
    ("busy", "busy_on"),
    [(3, "/tree/" + str(HubRepo({"main": {}}).commit("main"))), (5, "Te_0000.jpg")],
)
def test_fetch_waits_at_rate_limit(hub, settings, tmp_path, brain, waits, busy, busy_on):
    hub.repos[BRAIN] = HubRepo({"main": brain}, busy=busy, busy_on=busy_on)
    fetch(settings("brain_tumor"), tmp_path / "raw", tmp_path)
    assert len(tree(tmp_path / "raw")) == 12
    assert waits
    assert set(waits) == {8.0}, "the client waits for Retry-After: 7, and one more"


def test_fetch_explains_rate_limit(hub, settings, tmp_path, brain):
    hub.repos[BRAIN] = HubRepo({"main": brain}, busy=10**6)
    with pytest.raises(ExternalError, match="gets no more answers for now") as caught:
        fetch(settings("brain_tumor"), tmp_path / "raw", tmp_path)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ((404, "RepoNotFound"), "is not there, or private"),
        ((401, "RepoNotFound"), "is not there, or private"),
        ((403, "GatedRepo"), "is gated; accept its terms"),
        ((403, ""), "is refused; set HF_TOKEN"),
        ((410, ""), "fails with status 410"),
    ],
)
def test_fetch_explains_refusals(hub, settings, tmp_path, error, sentence):
    hub.repos[BRAIN] = HubRepo({"main": {}}, error=error)
    with pytest.raises(ExternalError, match=sentence) as caught:
        fetch(settings("brain_tumor"), tmp_path / "raw", tmp_path)
    assert "\n" not in str(caught.value)
    assert BRAIN in str(caught.value)


def test_fetch_refuses_unknown_revision_and_config(hub, settings, tmp_path, chest):
    hub.repos[CHEST] = chest
    with pytest.raises(ExternalError, match="has no revision 'v9'"):
        fetch(settings("chest_xray", **{"download.revision": "v9"}), tmp_path / "raw", tmp_path)
    with pytest.raises(UsageError, match="choose one of full, mini"):
        fetch(settings("chest_xray", **{"download.config": None}), tmp_path / "raw", tmp_path)
    with pytest.raises(UsageError, match=r"is 'ful'; the data set has full, mini"):
        fetch(settings("chest_xray", **{"download.config": "ful"}), tmp_path / "raw", tmp_path)


def test_fetch_reads_complete_cache_without_network(hub, settings, tmp_path, brain, monkeypatch):
    hub.repos[BRAIN] = HubRepo({"main": brain})
    online = fetch(settings("brain_tumor"), tmp_path / "online", tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert fetch(settings("brain_tumor"), tmp_path / "offline", tmp_path) == online
    assert tree(tmp_path / "offline") == tree(tmp_path / "online")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other_cache"))
    with pytest.raises(ExternalError, match=r"can't be reached .* connect to the internet"):
        fetch(settings("brain_tumor"), tmp_path / "raw", tmp_path)


def test_fetch_takes_token_from_environment_alone(hub, settings, tmp_path, brain, monkeypatch):
    hub.repos[BRAIN] = HubRepo({"main": brain})
    fetch(settings("brain_tumor"), tmp_path / "raw", tmp_path)
    assert hub.tokens == {None}
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    provenance = fetch(settings("brain_tumor"), tmp_path / "raw", tmp_path)
    assert "Bearer hf_secret" in hub.tokens
    assert "hf_secret" not in json.dumps(provenance)


def test_fetch_never_shows_token(hub, settings, tmp_path, brain, waits, monkeypatch, caplog, capfd):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    caplog.set_level("DEBUG")
    hub.repos[BRAIN] = HubRepo({"main": brain}, busy=5, busy_on="Te_0000.jpg")
    fetch(settings("brain_tumor"), tmp_path / "raw", tmp_path)
    hub.repos[BRAIN].error = (403, "")
    with pytest.raises(ExternalError) as caught:
        fetch(settings("brain_tumor"), tmp_path / "again", tmp_path)
    assert "Bearer hf_secret" in hub.tokens
    assert waits
    assert "hf_secret" not in str(caught.value) + caplog.text + "".join(capfd.readouterr())
    assert not any(b"hf_secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("full/partial-train/0000.parquet", "train"),
        ("default/fold_1/0003.parquet", "fold_1"),
        ("data/validation-00000-of-00012-ab12.parquet", "validation"),
        ("data/valid.parquet", "valid"),
        ("everything.parquet", "train"),
    ],
)
def test_split_of_reads_folder_and_file_name(path, split):
    assert split_of(path) == split


def test_choose_tables_of_a_config():
    tables = ["full/train/0.parquet", "full/test/0.parquet", "default/train/0.parquet"]
    assert choose_tables(tables, "full", {}, "key") == {tables[0]: "train", tables[1]: "test"}
    assert choose_tables(tables, None, {}, "key") == {tables[2]: "train"}
    assert choose_tables(["data/test-00000-of-00001.parquet"], None, {}, "key") == {
        "data/test-00000-of-00001.parquet": "test"
    }
    with pytest.raises(UsageError, match="no configs: write null"):
        choose_tables(["train.parquet"], "full", {}, "key")


def test_choose_tables_follows_card_patterns():
    tables = ["full/tr-0.parquet", "full/te-0.parquet", "mini/tr-0.parquet"]
    card = {
        "full": [{"split": "train", "path": "full/tr-*"}, {"split": "test", "path": ["full/te-*"]}],
        "mini": "mini/*",
    }
    assert choose_tables(tables, "full", card, "key") == {tables[0]: "train", tables[1]: "test"}
    with pytest.raises(UsageError, match="choose one of full, mini"):
        choose_tables(tables, None, card, "key")


@pytest.mark.parametrize(
    ("config", "files", "placed"),
    [("big", "{}/test-*", ["test/cell/a.png"]), ("big", "{}/*", ["test/cell/a.png"]), (None, "{}/test-*", None)],
)
def test_fetch_takes_one_of_the_configs_that_push_to_hub_wrote(hub, settings, tmp_path, picture, config, files, placed):
    names = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {files.format(name)}\n"
        for name in ("big", "small")
    )
    content = {
        f"{name}/test-00000-of-00001.parquet": table(
            [(picture(1), "a.png", "cell")], {"dtype": "string", "_type": "Value"}, "label"
        )
        for name in ("big", "small")
    }
    hub.repos["some/two"] = HubRepo({"main": {"README.md": f"---\nconfigs:\n{names}---\n".encode(), **content}})
    task = settings("brain_tumor", **{"download.repo": "some/two", "download.config": config})
    if placed is None:
        with pytest.raises(UsageError, match="choose one of big, small"):
            fetch(task, tmp_path, tmp_path)
    else:
        fetch(task, tmp_path, tmp_path)
        assert sorted(tree(tmp_path)) == placed
