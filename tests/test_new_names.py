"""Settings of earlier versions: refused with their present names, and rewritten by `tropho new-names`."""

import pytest
import yaml

from conftest import ROOT
from tropho.config.load import load_params, task_settings
from tropho.config.retired import RETIRED, rewrite, rewrite_file
from tropho.errors import UsageError

OLD = """\
# my tasks
tasks:
  smears:
    kind: detection
    presets:
      gpu:
        model.head_depth: 4       # likewise
        train.channels_last: true  # faster
    audit: {protocol: detect, same_slide: detect}
    augment: {size: 640, previews: 4}  # small
    model:
      name: fcos
      # by the boxes
      anchors: fitted             # as they are
      fpn_levels: null
    train:
      ema: 0.99                   # an average
      members: {empty: {model.name: presence, augment.size: 320}}
    submit:
      decimals: 4                 # enough
    tune: {prune: false, space: {train.gamma: {choices: [0.1, 0.5]}, model.anchors: {choices: [fixed, fitted]}}}
"""
NEW = """\
# my tasks
tasks:
  smears:
    kind: detection
    presets:
      gpu:
        model.num_head_convs: 4       # likewise
    audit: {missing_labels: detect, cluster_slides: true}
    augment: {image_size: 640}  # small
    model:
      name: fcos
      # by the boxes
      fit_levels: true             # as they are
      fpn_levels: null
    train:
      ema_decay: 0.99                   # an average
      ensemble: {empty: {model.name: negative_classifier, augment.image_size: 320}}
    submit: {}
    tune: {space: {train.decay_rate: {choices: [0.1, 0.5]}, model.fit_levels: {choices: [false, true]}}}
"""


def test_a_file_is_rewritten_with_its_comments():
    text, changes = rewrite(OLD)
    assert text == NEW
    assert "tasks.smears.model.anchors -> fit_levels: true" in changes
    assert "tasks.smears.augment.previews: removed, since it is a constant now" in changes
    assert rewrite(text) == (text, [])


def test_an_entry_alone_is_rewritten(tmp_path):
    path = tmp_path / "entry.yaml"
    path.write_text("train: {patience: 3}\n", encoding="utf-8")
    assert rewrite_file(path) == ["train.patience -> early_stopping_patience"]
    assert path.read_text(encoding="utf-8") == "train: {early_stopping_patience: 3}\n"


def test_a_setting_under_both_names_is_left_to_the_user(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("train: {ema: 0.9, ema_decay: 0.99}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="Line 1: 'ema' is now 'ema_decay', which stands there too"):
        rewrite_file(path)


def test_the_table_leads_to_settings_that_exist():
    defaults = load_params(ROOT / "params.yaml")["defaults"]
    for dotted, retired in RETIRED.items():
        section, _, key = dotted.partition(".")
        assert retired.key is None or retired.key in defaults[section], dotted
        assert retired.key == key or key not in defaults[section], dotted


def test_params_hold_at_most_110_settings():
    assert sum(len(section) for section in load_params(ROOT / "params.yaml")["defaults"].values()) <= 110


REFUSED = [
    ({"train": {"ema": 0.9}}, "tasks.cells_demo.train.ema is now train.ema_decay; `tropho new-names params.yaml`"),
    ({"model": {"anchors": "fitted"}}, "anchors is now model.fit_levels (fitted is true and fixed is false);"),
    (
        {"model": {"name": "presence"}},
        "tasks.cells_demo.model.name has new values: presence is negative_classifier and rt_detr is hf_detr;",
    ),
    ({"submit": {"decimals": 4}}, "tasks.cells_demo.submit.decimals is a constant now; remove it."),
    ({"presets": {"laptop": {"train.gamma": 0.1}}}, "tasks.cells_demo.presets.laptop.train.gamma is now"),
    ({"train": {"ensemble": {"m": {"train.ema": 0.9}}}}, "tasks.cells_demo.train.ensemble.m.train.ema is now"),
    ({"tune": {"space": {"train.ema": {"choices": [0.9]}}}}, "tasks.cells_demo.tune.space.train.ema is now"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_a_retired_setting_is_refused_with_its_new_name(changes, words):
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["tasks"]["cells_demo"] |= changes
    with pytest.raises(UsageError) as caught:
        task_settings("cells_demo", params)
    assert words in str(caught.value)


def test_a_retired_default_is_refused_where_it_stands():
    params = load_params(ROOT / "params.yaml")
    params["defaults"]["train"]["ema"] = None
    with pytest.raises(UsageError, match=r"^defaults\.train\.ema is now train\.ema_decay"):
        task_settings("cells_demo", params)
