"""A training that starts from the weights of another: what is copied, what starts anew, and what is refused."""

import pytest
import torch
import yaml
from safetensors.torch import save_file

from tropho.errors import DataError, UsageError
from tropho.files import sha256_of
from tropho.inference.trained_folds import StartWeights, find_start_weights
from tropho.tasks import build_task
from tropho.training.loop import Trainer
from tropho.training.start_weights import load_start_weights

SMALL = {
    "augment.image_size": 64, "model.backbone": "resnet18", "model.pretrained": False, "model.fpn_channels": 16,
    "model.fpn_levels": [3, 4], "model.fit_levels": False, "model.num_head_convs": 1,
}  # fmt: skip
SOURCE, TARGET = ["cell", "a", "b"], ["b", "new", "a"]
HEADS = {
    "mlp": ("cells_demo", {"model.hidden_units": [8]}, {"layers.5": 1}),
    "lenet": ("cells_demo", {}, {"dense.6": 1}),
    "resnet": ("cells_demo", {}, {"body.fc.1": 1}),
    "fcos": ("smear_demo", {}, {"head.class_logits": 1}),
    "torchvision_fcos": ("smear_demo", {}, {"head.layers.classification_head.cls_logits": 1}),
    "torchvision_retinanet": ("smear_demo", {}, {"head.layers.classification_head.cls_logits": 9}),
    "torchvision_faster_rcnn": (
        "smear_demo", {}, {"head.roi.box_predictor.cls_score": 1, "head.roi.box_predictor.bbox_pred": 4},
    ),
}  # fmt: skip
"""By model: its task and settings, and the layers of its classes with the rows of each."""


@pytest.fixture
def task(settings):
    """task(name, classes): a small task of a model, whose weights are drawn anew each time."""

    def make(name, classes, **changes):
        kind, own, _ = HEADS.get(name, ("smear_demo", {}, {}))
        return build_task(settings(kind, **{**SMALL, "model.name": name, **own, **changes}), classes)

    return make


def trained(task, folder, config=True):
    """Write a fold with weights of noise; return their state dict and where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = task.build_model().state_dict()
    for value in drawn.values():
        if value.is_floating_point():
            value.normal_()
    state = {name: value.clone() for name, value in drawn.items()}  # one layer may have two names
    save_file(state, folder / "weights.safetensors")
    if config:
        content = {"settings": task.settings.model_dump(), "classes": task.classes}
        (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return state, find_start_weights(str(folder), folder)


def outputs_of(value, label, classes, n_rows, background_first):
    """The rows of a class in a layer: class by class, or anchor by anchor."""
    number = classes.index(label)
    if background_first:
        first = n_rows * (number + 1)
        return value[first : first + n_rows]
    return value[number :: len(classes)]


@pytest.mark.parametrize("name", HEADS)
def test_outputs_are_copied_by_class_name(task, tmp_path, name):
    given, start = trained(task(name, SOURCE), tmp_path)
    new = task(name, TARGET)
    model = new.build_model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    line = load_start_weights(model, start, new)
    assert line.startswith(f"starts from {start.path} (SHA-256 {start.sha256[:12]}")
    assert line.endswith("; outputs for new start anew")
    heads = HEADS[name][2]
    for key, value in model.state_dict().items():
        layer = key.rpartition(".")[0]
        if layer not in heads:
            torch.testing.assert_close(value, given[key], rtol=0, atol=0)
            continue
        background = "box_predictor" in key
        for label in ("a", "b"):
            mine, theirs = (
                outputs_of(each, label, classes, heads[layer], background)
                for each, classes in ((value, TARGET), (given[key], SOURCE))
            )
            assert len(mine) == heads[layer]
            torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
        fresh = (outputs_of(each, "new", TARGET, heads[layer], background) for each in (value, before[key]))
        torch.testing.assert_close(*fresh, rtol=0, atol=0)
        if background:
            torch.testing.assert_close(value[: heads[layer]], given[key][: heads[layer]], rtol=0, atol=0)


def test_all_weights_are_copied_where_classes_are_equal(task, tmp_path):
    given, start = trained(task("fcos", SOURCE), tmp_path)
    new = task("fcos", SOURCE)
    model = new.build_model()
    assert "anew" not in load_start_weights(model, start, new)
    torch.testing.assert_close(dict(model.state_dict()), given, rtol=0, atol=0)


def test_order_of_classes_is_no_matter(task, tmp_path):
    given, start = trained(task("fcos", ["a", "b"]), tmp_path)
    new = task("fcos", ["b", "a"])
    model = new.build_model()
    load_start_weights(model, start, new)
    torch.testing.assert_close(model.head.class_logits.bias.data, given["head.class_logits.bias"].flip(0))


@pytest.mark.parametrize("classes", [["a", "b"], ["a", "b", "cell", "dot"]])
def test_outputs_start_anew_without_class_names(task, tmp_path, classes):
    given, _ = trained(task("fcos", ["a", "b"]), tmp_path, config=False)
    start = find_start_weights("weights.safetensors", tmp_path)
    assert start.classes is None
    new = task("fcos", classes)
    model = new.build_model()
    fresh = model.head.class_logits.weight.clone()
    assert load_start_weights(model, start, new).endswith(f"outputs for {', '.join(classes)} start anew")
    assert torch.equal(model.head.class_logits.weight, fresh)
    assert torch.equal(model.head.sides.weight, given["head.sides.weight"])


def test_a_negative_classifier_is_copied_whole(task, tmp_path):
    given, start = trained(task("negative_classifier", ["x"]), tmp_path)
    new = task("negative_classifier", ["a", "b"])
    model = new.build_model()
    load_start_weights(model, start, new)
    torch.testing.assert_close(dict(model.state_dict()), given, rtol=0, atol=0)


def test_frozen_norms_take_the_statistics_of_batch_norms(task, tmp_path):
    given, start = trained(task("resnet", ["a", "b"], **{"model.norm": "batch"}), tmp_path)
    new = task("resnet", ["a", "b"], **{"model.norm": "frozen"})
    model = new.build_model()
    load_start_weights(model, start, new)
    assert torch.equal(model.body.bn1.running_mean, given["body.bn1.running_mean"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model.fpn_channels": 32}, r"pyramid\.laterals\.3, pyramid\.laterals\.4, pyramid\.laterals\.5, "
                                     r"pyramid\.outputs\.3 and \d+ more \(missing or of another shape\)"),
        ({"model.fpn_levels": [4, 5]}, r"pyramid\.outputs\.5 \(missing or of another shape\) and pyramid\.laterals\.3, "
                                       r"pyramid\.outputs\.3 \(not in this network\)"),
        ({"model.num_head_convs": 2}, r"head\.class_tower\.3, head\.class_tower\.4, head\.box_tower\.3"),
    ],
)  # fmt: skip
def test_another_architecture_is_refused_with_its_layers(task, tmp_path, change, named):
    _, start = trained(task("fcos", ["a"]), tmp_path)
    new = task("fcos", ["a", "b"], **change)
    with pytest.raises(DataError, match=rf"is of another architecture than model.name 'fcos' is here: {named}"):
        load_start_weights(new.build_model(), start, new)


def test_loading_draws_no_random_number(task, tmp_path):
    _, start = trained(task("fcos", SOURCE), tmp_path)
    new = task("fcos", TARGET)
    model = new.build_model()
    torch.manual_seed(1)
    load_start_weights(model, start, new)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(3))


def test_find_start_weights_takes_a_file_a_fold_or_a_model(task, tmp_path):
    lenet = task("lenet", ["a", "b"])
    for number in (10, 2):
        trained(lenet, tmp_path / "models" / "bccd" / f"fold{number}")
    first = tmp_path / "models" / "bccd" / "fold2" / "weights.safetensors"
    wanted = StartWeights(first, sha256_of(first), ["a", "b"])
    places = ["models/bccd", "models/bccd/fold2", "models/bccd/fold2/weights.safetensors", str(first)]
    assert [find_start_weights(place, tmp_path) for place in places] == [wanted] * 4
    experiment = tmp_path / ".dvc" / "tmp" / "exps" / "x"
    assert find_start_weights("models/bccd", experiment) == wanted
    assert find_start_weights(None, tmp_path) is None


@pytest.mark.parametrize("place", ["models/none", "models/bccd/fold2/config.yaml", "models"])
def test_find_start_weights_refuses_what_holds_none(task, tmp_path, place):
    trained(task("lenet", ["a", "b"]), tmp_path / "models" / "bccd" / "fold2")
    with pytest.raises(DataError, match=rf"model.weights: .*{place} holds no trained model; name a .safetensors file"):
        find_start_weights(place, tmp_path)


def test_a_damaged_file_is_named(task, tmp_path):
    _, start = trained(task("lenet", ["a", "b"]), tmp_path)
    start.path.write_bytes(start.path.read_bytes()[:-10])
    new = task("lenet", ["a", "b"])
    with pytest.raises(DataError, match=r"weights.safetensors is damaged"):
        load_start_weights(new.build_model(), start, new)


def test_trainer_starts_from_the_weights(task, data, tmp_path, capsys):
    """After an epoch at no rate the weights are those of the file."""
    pack, truth = data
    changes = {"augment.image_size": 32, "augment.policy": "none", "train.epochs": 1, "train.lr": 1e-30}
    new = task("lenet", ["a", "b"], **changes, **{"model.norm": "none", "train.ema_decay": 0.5})
    given, start = trained(new, tmp_path / "fold0")
    fold = Trainer(new, pack, truth, truth, 0, name="fold0", start=start).fit()
    torch.testing.assert_close(fold.weights, given, rtol=1e-6, atol=1e-6)
    assert f"fold0  starts from {start.path}" in capsys.readouterr().err


def test_members_of_another_network_do_not_inherit_the_weights(settings):
    from tropho.config.load import member_settings

    ensemble = {"seed": {"train.seed": 1}, "wide": {"model.backbone": "resnet50"}, "own": {"model.weights": "y"}}
    made = settings("smear_demo", **{"model.weights": "x", "train.ensemble": ensemble})
    weights = {name: member.model.weights for name, member in member_settings(made).items()}
    assert weights == {"base": "x", "seed": "x", "wide": None, "own": "y"}


def test_weights_win_over_published_ones(settings):
    made = settings("smear_demo", **SMALL, **{"model.name": "fcos"})
    model = made.model.model_copy(update={"pretrained": True, "weights": "x"})
    build_task(made.model_copy(update={"model": model}), ["a"]).build_model()  # and fetches nothing


def test_search_varies_no_start(settings):
    from tropho.tuning.space import parse_space

    space = {"model.weights": {"choices": ["x", "y"]}}
    with pytest.raises(UsageError, match="all trials start from the same"):
        parse_space(settings("smear_demo", **{"tune.space": space}))
