"""Checkpoints of transformers' detectors from a hub on loopback, by the real client; whole ones and broken ones."""

import json
import sys
import threading

import pytest
import torch
from safetensors.torch import load, save

from data.sources.hub_server import HubRepo
from hf_checkpoints import ARCHITECTURES, files_of, write_checkpoint
from tropho import hub as hub_client
from tropho.config.model_config import Checkpoint
from tropho.errors import ExternalError, UsageError
from tropho.models import build_model
from tropho.models.heads import PRIOR
from tropho.models.hf_checkpoint import resolve_checkpoint

REPO = "somebody/detector"
OF_CLASSES = ("class_embed", "score_head")
"""In the names of layers that start anew."""


@pytest.fixture
def model(settings):
    """model(checkpoint, **dotted overrides) -> settings of a detector of transformers with published weights."""

    def make(checkpoint=REPO, **overrides):
        given = {"model.name": "hf_detr", "model.checkpoint": checkpoint, "model.pretrained": True, **overrides}
        return settings("smear_demo", **given).model

    return make


@pytest.fixture
def files(checkpoints):
    """files("rf_detr") -> the files of a checkpoint, which a test may break."""
    return lambda architecture, **options: files_of(checkpoints(architecture, **options))


def build(model, seed=0):
    torch.manual_seed(seed)
    return build_model(model, "detection", 2, 64)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_all_layers_are_the_published_ones_but_for_those_of_the_classes(model, hub, tmp_path, name):
    published = write_checkpoint(tmp_path / "saved", name, seed=5)
    hub.repos[REPO] = HubRepo({"main": files_of(tmp_path / "saved")})
    detector, other = build(model()), build(model(), seed=1)
    in_file = set(load(hub.repos[REPO].files(hub.repos[REPO].commit("main"))["model.safetensors"]))
    assert in_file - set(published.state_dict())  # published names are older than the library's
    found, again, wanted = (each.state_dict() for each in (detector.network, other.network, published))
    for key, value in wanted.items():
        anew = any(part in key for part in OF_CLASSES)
        assert torch.equal(found[key], value) != anew, key
        assert not anew or value.ndim == 1 or not torch.equal(found[key], again[key])
    for key in found:
        if key.endswith("bias") and found[key].shape == (2,) and any(part in key for part in OF_CLASSES):
            torch.testing.assert_close(found[key].sigmoid(), torch.full((2,), PRIOR))
    with torch.no_grad():
        assert len(detector.eval()(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))) == 1


def test_heads_start_anew_where_the_published_ones_have_as_many_classes(model, hub, tmp_path):
    published = write_checkpoint(tmp_path / "saved", "rt_detr", seed=5, id2label={0: "x", 1: "y"})
    hub.repos[REPO] = HubRepo({"main": files_of(tmp_path / "saved")})
    found = build(model()).network.state_dict()
    equal = {key for key, value in published.state_dict().items() if torch.equal(found[key], value)}
    assert not any("class_embed.0.weight" in key or "denoising_class" in key or "score_head" in key for key in equal)


def test_weights_in_several_files_are_joined(model, hub, files):
    split = files("rt_detr", shard="200KB")
    assert sum(name.endswith(".safetensors") for name in split) > 2
    hub.repos[REPO] = HubRepo({"main": split})
    hub.repos["somebody/whole"] = HubRepo({"main": files("rt_detr")})
    first, second = build(model()), build(model("somebody/whole"))
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


def test_pickled_weights_are_read_as_weights_only(model, hub, files, tmp_path):
    pickled = {name: content for name, content in files("rt_detr").items() if name.endswith(".json")}
    torch.save(load(files("rt_detr")["model.safetensors"]), tmp_path / "weights.bin")
    hub.repos[REPO] = HubRepo({"main": {**pickled, "pytorch_model.bin": (tmp_path / "weights.bin").read_bytes()}})
    hub.repos["somebody/whole"] = HubRepo({"main": files("rt_detr")})
    first, second = build(model()), build(model("somebody/whole"))
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    torch.save({"code": torch.nn.Linear(1, 1)}, tmp_path / "code.bin")
    hub.repos["somebody/code"] = HubRepo(
        {"main": {**pickled, "pytorch_model.bin": (tmp_path / "code.bin").read_bytes()}}
    )
    with pytest.raises(ExternalError, match=r"The weights of the checkpoint 'somebody/code@\w+' can't be read"):
        build(model("somebody/code"))


def without(weights, key):
    return {name: value for name, value in weights.items() if name != key}


def reshaped(weights, key):
    return {**weights, key: torch.zeros(3, 5)}


LAYER = "model.decoder.layers.0.self_attn.k_proj.weight"
BROKEN = {
    "a key missing": (lambda weights: without(weights, LAYER), rf"it lacks {LAYER};"),
    "a key too many": (lambda weights: {**weights, "extra.weight": torch.zeros(1)}, r"it has unknown extra\.weight;"),
    "a wrong shape": (
        lambda weights: reshaped(weights, LAYER),
        rf"it has in another shape {LAYER} \(3, 5\) instead of",
    ),
    "legacy names": (
        lambda weights: {key.replace("model.decoder.", "transformer.dec."): value for key, value in weights.items()},
        r"it lacks model\.decoder\..* and \d+ more, and has unknown transformer\.dec\.",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("name", ["rt_detr", "lw_detr"])
def test_a_checkpoint_that_does_not_fit_is_refused_by_layer(model, hub, files, name, fault):
    damage, said = BROKEN[fault]
    broken = files(name)
    broken["model.safetensors"] = save(damage(load(broken["model.safetensors"])), {"format": "pt"})
    hub.repos[REPO] = HubRepo({"main": broken})
    with pytest.raises(
        ExternalError, match=rf"The checkpoint '{REPO}@\w+' is not one of its architecture: {said}"
    ) as told:
        build(model())
    assert str(told.value).endswith("choose another one, or set model.pretrained to false.")
    assert "\n" not in str(told.value)


def test_the_record_is_all_that_a_network_is_built_from(model, hub, files):
    hub.repos[REPO] = HubRepo({"main": files("rf_detr"), "v1": files("rt_detr")})
    resolved = resolve_checkpoint(model(), ["cell", "no"])
    assert isinstance(resolved.checkpoint, Checkpoint)
    assert (resolved.checkpoint.name, resolved.checkpoint.revision) == (REPO, hub.repos[REPO].commit("main"))
    assert resolved.checkpoint.mean == pytest.approx([0.485, 0.456, 0.406])
    assert resolved.checkpoint.network["label2id"] == {"cell": 0, "no": 1}
    assert resolve_checkpoint(resolved, ["a", "b"]) is resolved
    trained = build(resolved)
    assert trained.network.config.id2label == {0: "cell", 1: "no"}
    hub.repos.clear()
    again = build(resolved.model_validate({**resolved.model_dump(), "pretrained": False}))
    again.load_state_dict(trained.state_dict())
    hub.repos[REPO] = HubRepo({"v1": files("rt_detr")})
    pinned = resolve_checkpoint(model(f"{REPO}@v1"), ["a", "b"]).checkpoint
    assert (pinned.revision, pinned.network["model_type"]) == (hub.repos[REPO].commit("v1"), "rt_detr")


@pytest.mark.parametrize(
    ("changes", "mean", "std"),
    [
        ({"do_normalize": False}, [0.0] * 3, [1.0] * 3),
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, [0.5] * 3, [0.25] * 3),
        ({"do_rescale": False, "image_mean": [102.0] * 3, "image_std": [51.0] * 3}, [0.4] * 3, [0.2] * 3),
    ],
)
def test_pixels_are_normalised_as_the_checkpoint_says(model, hub, files, changes, mean, std):
    content = files("rf_detr")
    preprocessing = {**json.loads(content["preprocessor_config.json"]), **changes}
    hub.repos[REPO] = HubRepo({"main": {**content, "preprocessor_config.json": json.dumps(preprocessing).encode()}})
    record = resolve_checkpoint(model(), ["a", "b"]).checkpoint
    assert record.mean == pytest.approx(mean)
    assert record.std == pytest.approx(std)


def test_a_folder_is_a_checkpoint(model, tmp_path):
    write_checkpoint(tmp_path / "own", "d_fine")
    first = resolve_checkpoint(model(str(tmp_path / "own")), ["a", "b"]).checkpoint
    build(model(str(tmp_path / "own")))
    write_checkpoint(tmp_path / "own", "d_fine", seed=1)
    assert resolve_checkpoint(model(str(tmp_path / "own")), ["a", "b"]).checkpoint.revision != first.revision


def test_without_pretrained_a_configuration_is_enough(model, hub, files):
    hub.repos[REPO] = HubRepo({"main": files("lw_detr", weights=False)})
    build(model(**{"model.pretrained": False}))
    assert not any("safetensors" in request for request in hub.requests)
    with pytest.raises(ExternalError, match=r"can't be read"):
        build(model())


def test_a_hub_that_is_gone_is_named_unless_the_cache_has_all(model, hub, files, monkeypatch):
    hub.repos[REPO] = HubRepo({"main": files("rt_detr")})
    first = build(model())
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    torch.testing.assert_close(build(model()).state_dict(), first.state_dict(), rtol=0, atol=0)
    with pytest.raises(
        ExternalError, match=r"127\.0\.0\.1 can't be reached for 'somebody/other'; connect to the internet"
    ):
        build(model("somebody/other"))


def test_a_slow_hub_is_named(model, hub, monkeypatch):
    monkeypatch.setattr(hub_client, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.2)
    over = threading.Event()
    monkeypatch.setattr(hub, "answer", lambda *_: over.wait(20))
    try:
        with pytest.raises(ExternalError, match=rf"127\.0\.0\.1 can't be reached for '{REPO}'"):
            build(model())
    finally:
        over.set()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ((401, ""), "is refused; set HF_TOKEN to a token that may read it, or unset one that has expired"),
        ((403, "GatedRepo"), "is gated; accept its terms on the model's page and set HF_TOKEN"),
        ((404, "RepoNotFound"), "is not there, or private; correct model.checkpoint, or set HF_TOKEN"),
    ],
)
def test_a_refusal_says_what_to_do(model, hub, monkeypatch, error, said):
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    hub.repos[REPO] = HubRepo({"main": {}}, error=error)
    with pytest.raises(ExternalError, match=rf"'{REPO}' {said}"):
        build(model())
    assert "Bearer hf_expired" in hub.tokens


def test_an_unknown_revision_is_named(model, hub, files):
    hub.repos[REPO] = HubRepo({"main": files("rt_detr")})
    with pytest.raises(ExternalError, match=rf"'{REPO}' has no revision 'v9'; correct model\.checkpoint"):
        build(model(f"{REPO}@v9"))


@pytest.mark.parametrize(
    ("config", "kind", "said"),
    [
        ({"model_type": "bert"}, UsageError, "is a bert, which is no detector in transformers"),
        ({"model_type": "from_the_future"}, ExternalError, r"can't read config\.json of the checkpoint"),
        ({}, ExternalError, r"can't read config\.json of the checkpoint"),
    ],
)
def test_another_architecture_is_named(model, hub, config, kind, said):
    hub.repos[REPO] = HubRepo({"main": {"config.json": json.dumps(config).encode()}})
    with pytest.raises(kind, match=said) as told:
        build(model())
    assert "\n" not in str(told.value)


def test_a_checkpoint_without_preprocessing_is_named(model, hub, files):
    content = {name: value for name, value in files("rt_detr").items() if name != "preprocessor_config.json"}
    hub.repos[REPO] = HubRepo({"main": content})
    with pytest.raises(ExternalError, match=rf"can't read preprocessor_config\.json of the checkpoint '{REPO}'"):
        build(model())


def test_a_name_that_is_neither_is_refused(model):
    with pytest.raises(
        UsageError, match=r"'no/such/folder' is neither a folder nor a name on the Hub; write owner/name"
    ):
        build(model("no/such/folder"))


def test_without_transformers_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[detr\]'"):
        build(model())
