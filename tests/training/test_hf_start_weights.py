"""A training of a detector of transformers that starts from the weights of another one."""

import pytest
import torch

from hf_checkpoints import ARCHITECTURES
from training.test_start_weights import trained
from tropho.errors import DataError
from tropho.models.hf_checkpoint import resolve_checkpoint
from tropho.tasks import build_task
from tropho.training.start_weights import load_start_weights

SOURCE, TARGET = ["cell", "a", "b"], ["b", "new", "a"]
CLASS_LAYERS = ("class_embed", "class_labels_classifier", "enc_score_head")
"""Parts of the names of layers with a row for each class."""


@pytest.fixture
def task(settings, checkpoints):
    """task(architecture, classes) -> a detection task with that small checkpoint, resolved as in a training."""

    def make(name, classes, **changes):
        given = {"model.name": "hf_detr", "model.checkpoint": str(checkpoints(name)), "augment.image_size": 64}
        made = settings("smear_demo", **{**given, **changes})
        model = resolve_checkpoint(made.model, classes)
        return build_task(made.model_copy(update={"model": model}), classes)

    return make


@pytest.mark.parametrize("name", [*ARCHITECTURES, "detr"])
def test_all_layers_are_copied_and_classes_by_name(task, tmp_path, name):
    given, start = trained(task(name, SOURCE), tmp_path)
    new = task(name, TARGET, **{"model.weights": str(tmp_path)})
    torch.manual_seed(1)
    model = new.build_model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert load_start_weights(model, start, new).endswith("; outputs for new start anew")
    n_copied = n_heads = 0
    for key, value in model.state_dict().items():
        if not any(part in key for part in CLASS_LAYERS):
            assert torch.equal(value, given[key]), key
            n_copied += 1
            continue
        for row, theirs in ((0, 2), (2, 1), (slice(3, None), slice(3, None))):  # the last: "no object"
            assert torch.equal(value[row], given[key][theirs]), key
        assert torch.equal(value[1], before[key][1]), key
        n_heads += 1
    assert n_copied > 50
    assert n_heads > 1


def test_outputs_start_anew_without_class_names(task, tmp_path):
    given, start = trained(task("rt_detr", SOURCE), tmp_path, config=False)
    new = task("rt_detr", ["x", "y"])
    model = new.build_model()
    assert load_start_weights(model, start, new).endswith("; outputs for x, y start anew")
    assert torch.equal(model.network.model.enc_output[0].weight, given["network.model.enc_output.0.weight"])


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("rf_detr", {}, r"missing or of another shape\) and network\.model\..* \(not in this network\)"),
        ("rt_detr", {"decoder_layers": 3}, r"network\.model\.decoder\.layers\.2\.self_attn\..*and \d+ more"),
    ],
)
def test_another_network_is_refused_with_its_checkpoint_and_layers(task, checkpoints, tmp_path, name, changes, named):
    _, start = trained(task("rt_detr", SOURCE), tmp_path)
    folder = str(checkpoints(name, **changes))
    new = task(name, SOURCE, **{"model.checkpoint": folder})
    sentence = rf"is of another architecture than model\.checkpoint '{folder}' is here: .*{named}.*those weights\.$"
    with pytest.raises(DataError, match=sentence):
        load_start_weights(new.build_model(), start, new)


def test_another_kind_of_network_is_refused(task, settings, tmp_path):
    fcos = build_task(settings("smear_demo", **{"model.fpn_channels": 16}), SOURCE)
    _, start = trained(fcos, tmp_path)
    new = task("rt_detr", SOURCE)
    with pytest.raises(DataError, match=r"network\.model\..* and head\..* \(not in this network\)"):
        load_start_weights(new.build_model(), start, new)
